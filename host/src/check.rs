//! The checks that a library has to pass before it runs, for those who want to know without running it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use atoll_plugin::stamp::Stamp;

use crate::context::LibraryContext;
use crate::events::EventBus;
use crate::inspect::InspectError;
use crate::journal::Journal;
use crate::library::{LoadError, Loaded, PinReason};
use crate::source::{Source, SourceError};
use crate::stage::{ContentHash, StageError, Staged, Staging};

/// How often a library that is being written is tried again.
const ATTEMPTS: usize = 50;

/// Why a host would not run a library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is none.
    #[error("{0}")]
    Source(String),
    /// It cannot be copied.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// It is not for this host.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// It cannot be opened, or its interface is another one.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No thread could be made for the check, or one of the library's constructors panicked.
    #[error("it could not be opened: {0}")]
    Thread(io::Error),
}

// Not by an attribute, which would make it a `source`: printing the chain would say it twice.
impl From<io::Error> for CheckError {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}

impl From<&SourceError> for CheckError {
    fn from(error: &SourceError) -> Self {
        Self::Source(error.to_string())
    }
}

/// A library that a host would run.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its file.
    pub path: PathBuf,
    /// What it says of itself.
    pub stamp: Stamp,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its contents.
    pub hash: ContentHash,
    /// Why it stayed in the process after it was closed, so that each reload would pin a generation.
    pub stays: Option<PinReason>,
}

/// Does with the library of an app what a host does before it starts it, and takes it out of the process again. Of the
/// library's code, only its constructors run.
///
/// # Errors
/// See [`CheckError`].
pub fn check(staging: &Staging, source: &Source, app: &str) -> Result<Checked, CheckError> {
    let path = source.library()?.to_owned();
    let staged = stage(staging, app, &path)?;
    let (size, hash) = (staged.size(), staged.hash());
    let inspected = staged.inspect(source.package().map(|package| package.name.as_str()))?;
    let stamp = inspected.stamp().clone();
    let context = LibraryContext::new(app.into(), 1, Arc::new(Journal::new(app.into(), EventBus::default())));
    let loaded = on_thread(move || Loaded::open(inspected, context))??;
    // SAFETY: the thread that opened it has ended, no worker was made, and nobody else has its root.
    let stays = on_thread(|| unsafe { loaded.unload() }.err().map(|pinned| pinned.reason().clone()))?;
    Ok(Checked { path, stamp, size, hash, stays })
}

fn stage(staging: &Staging, app: &str, library: &Path) -> Result<Staged, StageError> {
    for _ in 1..ATTEMPTS {
        match staging.stage(app, library) {
            Err(error) if error.is_temporary() => thread::sleep(Duration::from_millis(20)),
            staged => return staged,
        }
    }
    staging.stage(app, library)
}

/// Runs `work` on a thread that has ended when this returns, so that its thread-locals are gone.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("check".to_owned()).spawn_scoped(scope, work)?;
        thread.join().map_err(|_panic| io::Error::other("its thread panicked"))
    })
}
