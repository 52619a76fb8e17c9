//! The checks that a library has to pass before it runs, for those who want to know without running it.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use atoll_plugin::stamp::Stamp;

use crate::library::content_hash::ContentHash;
use crate::library::inspect::InspectError;
use crate::library::loaded::LoadError;
pub use crate::library::preflight::{OPEN_LIMIT, OpenFailure, Opener};
use crate::library::source::{Source, SourceError};
pub use crate::library::stage::NeededFile;
use crate::library::stage::{StageError, Staged, Staging};

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
    /// It could not be opened in a process made for it.
    #[error(transparent)]
    Open(#[from] OpenFailure),
    /// No thread could be made for the check, or one of the library's constructors panicked.
    #[error("cannot open it: {0}")]
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
    /// Its stamp.
    pub stamp: Stamp,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its contents, with those of the shared libraries that it needs.
    pub hash: ContentHash,
    /// The hash of its file alone.
    pub(crate) file_hash: ContentHash,
    /// The shared libraries beside it that it needs.
    pub needed: Vec<NeededFile>,
    /// Why it stayed in the process after it was closed, so that each reload would pin a generation.
    pub stays: Option<String>,
}

/// Does with the library of an app what a host does before it starts it, and takes it out of the process again: one that
/// `opener` starts, so that this process cannot be harmed; without one it is not opened. Of the library's code, only its
/// constructors and destructors run. `limit`: the app's `library_limit`.
///
/// # Errors
/// See [`CheckError`].
pub fn check(
    staging: &Staging,
    source: &Source,
    app: &str,
    limit: usize,
    opener: Option<&Opener>,
) -> Result<Checked, CheckError> {
    let path = source.library()?.to_owned();
    let staged = stage(staging, app, limit as u64, &path)?;
    let (size, hash, file_hash, needed) = (staged.size(), staged.hash(), staged.file_hash(), staged.needed());
    let inspected = staged.inspect(source.package().map(|package| package.name.as_str()))?;
    if let Some(package) = source.package() {
        staging.claim(app, &path, &package.folder)?;
    }
    let paths = inspected.staged().open_paths();
    let stays = opener.map(|opener| opener.open(staging, app, &paths)).transpose()?.flatten();
    let (_, stamp) = inspected.into_parts();
    Ok(Checked { path, stamp, size, hash, file_hash, needed, stays })
}

fn stage(staging: &Staging, app: &str, limit: u64, library: &Path) -> Result<Staged, StageError> {
    for _ in 1..ATTEMPTS {
        match staging.stage_up_to(limit, app, library) {
            Err(error) if error.is_temporary() => thread::sleep(Duration::from_millis(20)),
            staged => return staged,
        }
    }
    staging.stage_up_to(limit, app, library)
}
