//! Libraries that are copied and inspected before a call needs them, so that it does not wait for that.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking, spawn_local};
use tokio::time::sleep;

use crate::library::check::CheckError;
use crate::library::inspect::Inspected;
use crate::library::preflight::Preflight;
use crate::library::source::{Source, SourcePath};
use crate::library::stage::Staging;
use crate::watch::{Fingerprint, SETTLE};

/// How many libraries are prepared at a time, so that a host with many apps has time for other work when it starts.
const AT_ONCE: usize = 2;

/// How many bytes on the disk the copies may take that no generation was ever made of. What does not fit is copied by
/// its first call.
const ROOM: u64 = 256 << 20;

/// The unit that room is counted in, in bytes.
const BLOCK: u64 = 4096;

/// What prepares the libraries of a host. Clones share their limits.
#[derive(Clone, Debug)]
pub(crate) struct Preparer {
    staging: Arc<Staging>,
    preflight: Option<Arc<Preflight>>,
    turns: Arc<Semaphore>,
    /// In blocks.
    room: Arc<Semaphore>,
}

/// A library that is prepared, or is about to be. Dropping it deletes the copy.
#[derive(Debug)]
pub(crate) enum Preparation {
    /// It is there.
    Done(Box<Prepared>),
    /// It waits for its turn, or is being copied.
    Underway(Underway),
}

/// A copy that has passed the check.
#[derive(Debug)]
pub(crate) struct Prepared {
    copy: Inspected,
    /// For a copy that no generation was made of yet.
    room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
pub(crate) struct Underway {
    task: JoinHandle<Option<Prepared>>,
    has_turn: Rc<Cell<bool>>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Preparer {
    pub(crate) fn new(staging: Arc<Staging>, preflight: Option<Arc<Preflight>>) -> Self {
        Self { preflight, ..Self::with(staging, AT_ONCE, ROOM) }
    }

    fn with(staging: Arc<Staging>, at_once: usize, room: u64) -> Self {
        let blocks = usize::try_from(room / BLOCK).unwrap_or(Semaphore::MAX_PERMITS);
        let (turns, room) = (Arc::new(Semaphore::new(at_once)), Arc::new(Semaphore::new(blocks)));
        Self { staging, preflight: None, turns, room }
    }

    /// Begins to prepare the library that `path` leads to, if it has at most `limit` bytes; with a limit for the
    /// preflight, also opens it in a process.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(crate) fn begin(
        &self,
        app: Arc<str>,
        path: SourcePath,
        limit: u64,
        preflight: Option<Duration>,
    ) -> Preparation {
        let has_turn = Rc::new(Cell::new(false));
        let task = spawn_local(self.clone().prepare(app, path, limit, preflight, has_turn.clone()));
        Preparation::Underway(Underway { task, has_turn })
    }

    /// Where this fails, nothing is lost: the first call tries again and says why. Nor is it tried again here, as the
    /// watcher reports a file that is not complete when it is.
    async fn prepare(
        self,
        app: Arc<str>,
        path: SourcePath,
        limit: u64,
        preflight: Option<Duration>,
        has_turn: Rc<Cell<bool>>,
    ) -> Option<Prepared> {
        // Only a copy of what was not changed just now can be told from what may be written next; and of a burst of
        // changes, the last one is what counts.
        sleep(SETTLE).await;
        let turn = self.turns.clone().acquire_owned().await.ok()?;
        has_turn.set(true);
        let preflight = self.preflight.clone().zip(preflight);
        let name = app.clone();
        let copied = spawn_blocking(move || {
            self.copy(&app, path, limit).unwrap_or_else(|error| {
                log::debug!("{app}: cannot preload its library: {error}");
                None
            })
        });
        let prepared = copied.await.ok()??;
        if let Some((preflight, limit)) = preflight {
            match preflight.pass(prepared.copy.staged(), limit).await {
                Ok(passed) => log::debug!("{name}: the preloaded library was {passed}"),
                Err(error) => {
                    log::debug!("{name}: cannot preload its library: {error}");
                    return None;
                }
            }
        }
        drop(turn);
        Some(prepared)
    }

    fn copy(&self, app: &str, path: SourcePath, limit: u64) -> Result<Option<Prepared>, CheckError> {
        let source = Source::locate(path, app);
        let library = source.library()?;
        let Some(room) = Fingerprint::read(library).ok().and_then(|file| self.take_room(file.size())) else {
            log::debug!("{app}: not enough room to preload its library");
            return Ok(None);
        };
        let package = source.package().map(|package| package.name.as_str());
        let copy = self.staging.stage_up_to(limit, app, library)?.inspect(package)?;
        if !copy.staged().is_settled() {
            return Ok(None);
        }
        log::debug!("{app}: {} is preloaded", library.display());
        Ok(Some(Prepared { copy, room: Some(room) }))
    }

    fn take_room(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        let blocks = u32::try_from(size.div_ceil(BLOCK)).ok()?;
        self.room.clone().try_acquire_many_owned(blocks).ok()
    }
}

impl Preparation {
    /// A copy whose generation is out of the process; `None` if it cannot be used again.
    pub(crate) fn again(copy: Inspected) -> Option<Self> {
        copy.staged().is_settled().then(|| Self::Done(Box::new(Prepared { copy, room: None })))
    }

    /// Whether a generation has served with it.
    pub(crate) fn has_served(&self) -> bool {
        matches!(self, Self::Done(prepared) if prepared.room.is_none())
    }

    /// What was prepared. Waits for what is being copied, and not for a turn: who needs it now is quicker without.
    pub(crate) async fn take(self) -> Option<Prepared> {
        match self {
            Self::Done(prepared) => Some(*prepared),
            Self::Underway(mut underway) if underway.has_turn.get() => (&mut underway.task).await.ok()?,
            Self::Underway(_) => None,
        }
    }
}

impl Prepared {
    /// The copy, if it can stand for a new one of `library`.
    pub(crate) fn copy_of(self, library: &Path) -> Option<Inspected> {
        Some(self.copy).filter(|copy| copy.staged().is_current(library))
    }
}

#[cfg(test)]
mod tests;
