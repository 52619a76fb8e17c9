//! Preflight: a library that is new to this machine is opened in a disposable, sandboxed process first, since a damaged
//! library, or a constructor, may end the process that opens it.

pub(crate) mod child;
mod known;
mod opener;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

pub(crate) use self::known::KNOWN_LIBRARIES;
use self::known::KnownLibraries;
pub use self::opener::{OPEN_LIMIT, OpenFailure, Opener};
use super::content_hash::ContentHash;
use super::stage::{Staged, Staging};

/// How many libraries a host opens in processes at a time.
pub(crate) const PREFLIGHTS: usize = 4;

/// With which first argument this program does the work of a child process.
static CHILD_ARGUMENT: OnceLock<&str> = OnceLock::new();

/// Takes note that this program, if it is executed with this first argument, does the work of a child process.
pub(crate) fn allow_children(argument: &'static str) {
    // The first one stays, and works.
    let _ = CHILD_ARGUMENT.set(argument);
}

/// The first argument with which this program does the work of a child process; `None`: with none.
pub(crate) fn child_argument() -> Option<&'static str> {
    CHILD_ARGUMENT.get().copied()
}

/// Whether this program can do the work of a child process.
pub(crate) fn has_children() -> bool {
    child_argument().is_some()
}

/// The preflights of a host.
#[derive(Debug)]
pub(crate) struct Preflight {
    opener: Opener,
    staging: Arc<Staging>,
    known: KnownLibraries,
    /// Libraries that have passed, and are being added to those that are known.
    adding: Mutex<Vec<ContentHash>>,
    turns: Semaphore,
}

/// How a library has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It was opened on this machine before.
    Before,
    /// It was opened in a process, which took this long.
    Now(Duration),
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before => f.write_str("opened on this machine before"),
            Self::Now(time) => {
                write!(f, "opened in a sandboxed process, {:.1} ms", time.as_secs_f64() * 1000.0)
            }
        }
    }
}

impl Preflight {
    /// The preflights of a host with these copies.
    pub(crate) fn new(opener: Opener, staging: Arc<Staging>) -> Self {
        let known = KnownLibraries::new(staging.place());
        Self { opener, staging, known, adding: Mutex::default(), turns: Semaphore::new(PREFLIGHTS) }
    }

    /// What opens libraries.
    pub(crate) fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Opens a staged copy in a process, unless that was done on this machine before. It may take as long as `limit`.
    ///
    /// # Errors
    /// See [`OpenFailure`].
    pub(crate) async fn pass(
        self: &Arc<Self>,
        staged: &Staged,
        limit: Duration,
    ) -> Result<Passed, OpenFailure> {
        let begun = Instant::now();
        // It is never closed.
        let turn = self.turns.acquire().await;
        let (this, app, paths) = (self.clone(), staged.app().to_owned(), staged.open_paths());
        let hash = staged.hash();
        let opener = self.opener.clone().with_limit(limit);
        let opened = spawn_blocking(move || {
            if this.is_known(&app, hash) {
                return Ok(false);
            }
            if let Some(reason) = opener.open(&this.staging, &app, &paths)? {
                log::debug!("{app}: its library stays in a process: {reason}");
            }
            Ok(true)
        });
        let opened = opened.await.map_err(|error| OpenFailure::Process(error.into()))??;
        drop(turn);
        if !opened {
            return Ok(Passed::Before);
        }
        self.adding().push(hash);
        let (this, app) = (self.clone(), staged.app().to_owned());
        // The app does not wait for the disk.
        spawn_blocking(move || this.remember(&app, hash));
        Ok(Passed::Now(begun.elapsed()))
    }

    /// In doubt it is opened again.
    fn is_known(&self, app: &str, hash: ContentHash) -> bool {
        if self.adding().contains(&hash) {
            return true;
        }
        self.known.contains(hash).unwrap_or_else(|error| {
            log::warn!("{app}: cannot find out whether its library was opened before: {error}");
            false
        })
    }

    fn adding(&self) -> MutexGuard<'_, Vec<ContentHash>> {
        self.adding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, app: &str, hash: ContentHash) {
        if let Err(error) = self.known.add(hash) {
            log::warn!(
                "{app}: its library will be opened in a process again, as it cannot be remembered: {error}"
            );
        }
        self.adding().retain(|added| *added != hash);
    }
}
