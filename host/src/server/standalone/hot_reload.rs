//! Loading by `LibReloader`: one library at a time.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use abi_stable::library::AbiHeaderRef;
use atoll_plugin::abi::ROOT_SYMBOL;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use hot_lib_reloader::{HotReloaderError, LibReloader};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{sleep, timeout};

use crate::abi::library_context::LibraryContext;
use crate::fs::atomic_file;
use crate::library::check::CheckError;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::loaded::mapping::{FinalCheck, Mapping};
use crate::library::loaded::{self, LoadError, Loaded, PinReason};
use crate::library::loader::{LoadMode, Loader};
use crate::library::own_thread::LastingThread;
use crate::library::stage::{StageError, Staged};

/// How long `LibReloader` waits for a file to come to rest. The file is replaced in one step, so this only joins the
/// events of one change.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// How long `LibReloader` may take to see a change that was seen here, before it is recreated.
const NOTICE_LIMIT: Duration = Duration::from_secs(2);

/// Loads an app's library, again and again, with `LibReloader`.
///
/// `LibReloader` watches the staged copy, not the library that cargo writes: the copy was checked, and refers to the
/// copies of the shared libraries that it needs.
pub(super) struct HotReload {
    library: Arc<Watched>,
    /// Held by the generation whose library is loaded: the next one waits for it.
    slot: Arc<Mutex<Slot>>,
    /// Where libraries are opened and closed.
    thread: OnceCell<LastingThread>,
    /// What `LibReloader` tells of changes.
    changes: RefCell<Option<Receiver<()>>>,
    /// What was loaded last.
    content: Cell<Option<ContentHash>>,
    /// Whether `LibReloader` knows of the change that is loaded next.
    noticed: Cell<bool>,
}

/// What `LibReloader` is made for: a library called `name` in a folder, where its copies are as well.
struct Watched {
    folder: PathBuf,
    name: String,
}

/// The place of the one library that is loaded.
#[derive(Default)]
struct Slot {
    reloader: Option<LibReloader>,
    /// Of the library that nobody uses any more: it is dropped after `reloader` has closed the library.
    released: Option<Arc<LibraryContext>>,
    /// How many reloaders there have been; each names its copies by its own number.
    reloaders: usize,
}

/// A generation's hold on the slot. Dropped without having been closed, it leaves the library in the process.
struct Held(Option<(OwnedMutexGuard<Slot>, Arc<LibraryContext>)>);

impl HotReload {
    /// For the library called `name`, whose copies are made in `folder`.
    pub(super) fn new(folder: PathBuf, name: String) -> Self {
        Self {
            library: Arc::new(Watched { folder, name }),
            slot: Arc::default(),
            thread: OnceCell::new(),
            changes: RefCell::default(),
            content: Cell::default(),
            noticed: Cell::default(),
        }
    }

    /// The thread that opens and closes the libraries.
    fn thread(&self) -> io::Result<&LastingThread> {
        if let Some(thread) = self.thread.get() {
            return Ok(thread);
        }
        let thread = LastingThread::start("libraries")?;
        Ok(self.thread.get_or_init(|| thread))
    }

    /// Waits until `LibReloader` has seen that its library was replaced; whether it has.
    async fn is_noticed(&self) -> bool {
        let noticed = async {
            loop {
                match self.changes.borrow().as_ref().map(Receiver::try_recv) {
                    Some(Ok(())) => return true,
                    Some(Err(TryRecvError::Empty)) => {}
                    Some(Err(TryRecvError::Disconnected)) | None => return false,
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(NOTICE_LIMIT, noticed).await.unwrap_or(false)
    }
}

impl fmt::Debug for HotReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotReload({} in {})", self.library.name, self.library.folder.display())
    }
}

impl Loader for HotReload {
    fn prepare<'a>(&'a self, staged: &'a Staged) -> LocalBoxFuture<'a, Result<LoadMode, CheckError>> {
        async move {
            self.library.replace(staged)?;
            // After a crash the same library is loaded again, of which there is nothing to notice.
            let other = self.content.get().is_some_and(|loaded| loaded != staged.hash());
            self.noticed.set(other && self.is_noticed().await);
            Ok(LoadMode::OneAtATime)
        }
        .boxed_local()
    }

    fn load(
        &self,
        inspected: Inspected,
        context: Arc<LibraryContext>,
    ) -> LocalBoxFuture<'_, Result<Loaded, CheckError>> {
        async move {
            let (content, paths) = (inspected.staged().hash(), inspected.staged().open_paths());
            let mut slot = self.slot.clone().lock_owned().await;
            let (library, update) = (self.library.clone(), self.noticed.take());
            // `LibReloader` closes the old library and opens the new one on this thread.
            let loaded = self.thread()?.run(move || {
                // SAFETY: the open rule: the program vouches for the code of its app.
                let needed = unsafe { loaded::open_needed(&paths) }?;
                let changes = slot.swap(&library, update).map_err(LoadError::HotReload)?;
                // The library holds them now.
                drop(needed);
                Ok::<_, LoadError>((bind(slot, inspected, context)?, changes))
            });
            let (loaded, changes) = loaded.await??;
            self.content.set(Some(content));
            if changes.is_some() {
                self.changes.replace(changes);
            }
            Ok(loaded)
        }
        .boxed_local()
    }
}

/// Checks the interface of the library in the slot, a copy of the one that was inspected, and binds it to its context.
fn bind(
    slot: OwnedMutexGuard<Slot>,
    inspected: Inspected,
    context: Arc<LibraryContext>,
) -> Result<Loaded, LoadError> {
    let reloader = slot.reloader.as_ref().ok_or(HotReloaderError::LibraryNotLoaded);
    let reloader = reloader.map_err(LoadError::HotReload)?;
    // SAFETY: the symbol is the `LibHeader` that `export_app!` defines. `reloader` closes the library only in
    // `Slot::swap`, which nobody else can call before what is returned here has let go of the slot.
    let root = unsafe {
        let header = reloader.get_symbol::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes());
        loaded::check_root(*header.map_err(LoadError::HotReload)?, None)?
    };
    loaded::bind(root, &context);
    let held = Held(Some((slot, context.clone())));
    Ok(Loaded::held(Box::new(held), root, context, inspected))
}

impl Slot {
    /// Closes the library that is loaded, and loads the one that is watched. `update`: the reloader has seen that it was
    /// replaced. Returns where the reloader tells of changes, if it is a new one.
    fn swap(&mut self, library: &Watched, update: bool) -> Result<Option<Receiver<()>>, HotReloaderError> {
        let updated = update
            && self.reloader.as_mut().is_some_and(|reloader| {
                reloader.update().unwrap_or_else(|error| {
                    log::debug!("restarting the watch on {}: {error}", library.name);
                    false
                })
            });
        if updated {
            self.give_back();
            return Ok(None);
        }
        // A reloader can only be asked to load what it takes for changed; another one loads what is there.
        self.reloader = None;
        self.give_back();
        self.reloaders += 1;
        let mut reloader = library.reloader(self.reloaders)?;
        let changes = reloader.subscribe_to_file_changes();
        self.reloader = Some(reloader);
        Ok(Some(changes))
    }

    /// The library that was loaded before is closed: gives back what it has left.
    fn give_back(&mut self) {
        if let Some(context) = self.released.take() {
            // SAFETY: the reloader has closed the library, on which nobody else has a hold.
            unsafe { context.give_back() };
        }
    }
}

impl Watched {
    fn reloader(&self, number: usize) -> Result<LibReloader, HotReloaderError> {
        LibReloader::new(&self.folder, &self.name, Some(DEBOUNCE), Some(copy_template(&self.folder, number)))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("lib{}.so", self.name))
    }

    /// Replaces the library by a copy of this one, in one step.
    fn replace(&self, staged: &Staged) -> Result<(), StageError> {
        let path = self.path();
        atomic_file::write(&path, 0o400, |file| {
            io::copy(&mut File::open(staged.path())?, file)?;
            Ok(())
        })
        .map_err(|reason| StageError::Write { path, reason })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(self.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!("cannot delete {}: {error}", self.path().display());
        }
    }
}

/// What `LibReloader` calls its copies. The path is absolute, so they are not made in the library's folder, but where
/// they are found and removed also if the process is killed.
fn copy_template(folder: &Path, number: usize) -> String {
    format!("{}/{{lib_name}}-{{pid}}-{number}-{{load_counter}}", folder.display())
}

impl Mapping for Held {
    /// It is closed when the next one is loaded, or at the end of the process.
    unsafe fn close(
        mut self: Box<Self>,
        last: FinalCheck,
    ) -> Result<(), (Option<Box<dyn Mapping>>, PinReason)> {
        // One that was pinned has left the slot to the next, and stays.
        let Some((mut slot, context)) = self.0.take() else { return Err((Some(self), PinReason::Lost)) };
        if let Err(reason) = last() {
            self.0 = Some((slot, context));
            return Err((Some(self), reason));
        }
        slot.released = Some(context);
        Ok(())
    }

    fn pin(&mut self) {
        self.leave();
    }
}

impl Held {
    /// Leaves the library in the process, and the slot to the next one.
    fn leave(&mut self) {
        if let Some((mut slot, context)) = self.0.take() {
            std::mem::forget((slot.reloader.take(), context));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leave();
    }
}
