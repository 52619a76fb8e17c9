//! Staged copies: what is loaded is never the file that a compiler may overwrite.
//!
//! Writing to a file that is mapped changes the code under the feet of the threads that run it. And the
//! dynamic loader tells libraries apart by inode, so a new build under the same inode would not be loaded at
//! all. What is loaded is therefore a copy that is a new file, in a folder that belongs to this process. A copy whose
//! library is out of the process again may be loaded once more.
//!
//! The shared libraries that lie beside it are copied with it, see [`needed`](super::needed).

mod claims;
mod contents;
mod copy;
mod error;
mod folder;
mod kept;
mod needed;
mod needed_store;
mod staged;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::claims::Claims;
pub use self::contents::Contents;
pub use self::error::StageError;
use self::folder::ProcessFolder;
pub(crate) use self::folder::{CommonFolder, FAULTS, open_folder};
pub use self::kept::Kept;
pub(crate) use self::kept::Original;
use self::kept::Store;
pub use self::needed::NeededFile;
use self::needed_store::NeededStore;
pub use self::staged::Staged;
use crate::config::Settings;
use crate::library::needed::find;

/// The staged copies of this host process, and the last good libraries of each app.
///
/// They are in a separate folder, `$TMPDIR/atoll-{user id}/{process id}-{start time}`, open to this user
/// only. It is removed with the last copy, and what a host left behind that crashed, by the next host.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let library = folder.path().join("libhello.so");
/// std::fs::write(&library, "a library")?;
///
/// let staging = atoll_host::internal::Staging::within(folder.path())?;
/// let staged = staging.stage("hello", &library)?;
/// assert!(staged.path().ends_with("hello-1.so"));
/// assert_eq!(staged.size(), 9);
///
/// staging.keep(&staged, 1, 3)?;
/// let last_good = &staging.kept("hello")[0];
/// let again = staging.restage("hello", last_good)?;
/// assert_eq!(again.hash(), staged.hash());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Staging {
    place: PathBuf,
    folder: Mutex<Arc<ProcessFolder>>,
    /// The number of copies made, so that each has a unique name.
    copies: AtomicU64,
    store: Store,
    needed: NeededStore,
    claims: Claims,
}

/// The folder that hosts of this user share, of those that have this folder for temporary files.
pub(crate) fn common_folder(temporary: &Path) -> PathBuf {
    folder::common(temporary)
}

impl Staging {
    /// Makes the folder for this process in `$TMPDIR` or else in `/tmp`, and removes those of hosts that
    /// are dead.
    ///
    /// Libraries cannot be loaded from a file system that is mounted `noexec`; set `TMPDIR` if `/tmp` is.
    ///
    /// # Errors
    /// The folder could not be made, or what is there could be changed by another user.
    pub fn new() -> Result<Staging, StageError> {
        Staging::within(std::env::temp_dir())
    }

    /// As [`Staging::new`], in another folder than `$TMPDIR`.
    ///
    /// # Errors
    /// As for [`Staging::new`].
    pub fn within(place: impl Into<PathBuf>) -> Result<Staging, StageError> {
        let place = place.into();
        let folder = Mutex::new(Arc::new(ProcessFolder::create(&place)?));
        Ok(Staging {
            place,
            folder,
            copies: AtomicU64::new(0),
            store: Store::default(),
            needed: NeededStore::default(),
            claims: Claims::default(),
        })
    }

    /// The folder for temporary files, which the one that hosts of this user share is in.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// The folder that hosts of this user share.
    pub(crate) fn common_folder(&self) -> Result<CommonFolder, StageError> {
        CommonFolder::open(&self.place)
    }

    /// The folder of this process.
    pub fn folder(&self) -> PathBuf {
        self.current().path().to_owned()
    }

    /// Copies `library`, which may have as many bytes as the setting `library_limit` says by default, for `app`.
    ///
    /// # Errors
    /// The library is missing, or being written (see [`StageError::is_temporary`]), or too large, or there is no room.
    pub fn stage(&self, app: &str, library: &Path) -> Result<Staged, StageError> {
        self.stage_up_to(Settings::default().library_limit as u64, app, library)
    }

    /// As [`stage`](Self::stage), for a library of at most `limit` bytes, and as many for each that lies beside it.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage).
    pub fn stage_up_to(&self, limit: u64, app: &str, library: &Path) -> Result<Staged, StageError> {
        let (folder, path) = self.place_for(app)?;
        let (file, copied) = copy::library(library, path, limit)?;
        let copy = File::open(file.path())
            .map_err(|reason| StageError::Read { path: file.path().to_owned(), reason })?;
        let needed = self.needed.stage(&folder, find(library, &copy)?, limit)?;
        Staged::new(app, library, file, copied, needed, folder)
    }

    /// Keeps the library of a generation for going back to it, as the newest of its app, and forgets all but the
    /// newest `count` of that app. One with the same contents is kept once.
    ///
    /// # Errors
    /// The copy could not be written.
    pub fn keep(&self, staged: &Staged, generation: u64, count: usize) -> Result<(), StageError> {
        self.keep_original(&Original::new(staged), generation, count)
    }

    /// As [`keep`](Self::keep), for a copy whose file stays until this is done.
    pub(crate) fn keep_original(
        &self,
        original: &Original,
        generation: u64,
        count: usize,
    ) -> Result<(), StageError> {
        self.store.keep(&self.current(), original, generation, count)
    }

    /// Takes note of an app whose libraries are to be kept until as many have been [forgotten](Self::forget) as were
    /// registered with its name.
    pub(crate) fn register(&self, app: &str) {
        self.store.register(app);
    }

    /// Deletes the libraries that are kept of an app that is gone, unless one with the same name has come.
    pub(crate) fn forget(&self, app: &str) {
        self.claims.release(app);
        self.store.forget(app);
    }

    /// The libraries of `app` that are kept, the newest first.
    pub fn kept(&self, app: &str) -> Vec<Kept> {
        self.store.list(app)
    }

    /// Copies a library that was kept for `app`.
    ///
    /// # Errors
    /// It is damaged, or there is no room.
    pub fn restage(&self, app: &str, kept: &Kept) -> Result<Staged, StageError> {
        let (folder, path) = self.place_for(app)?;
        let (file, copied) = copy::library(kept.path(), path, u64::MAX)?;
        if copied.hash != kept.file_hash() {
            return Err(StageError::Damaged {
                path: kept.path().to_owned(),
                expected: kept.file_hash(),
                found: copied.hash,
            });
        }
        kept.needed.verify()?;
        let needed = kept.needed.clone();
        Ok(Staged::new(app, kept.source(), file, copied, needed, folder)?.of_kept(kept))
    }

    /// Takes note of the crate that an app's library is built from.
    ///
    /// # Errors
    /// Another app has the same file from another crate.
    pub(crate) fn claim(&self, app: &str, library: &Path, folder: &Path) -> Result<(), StageError> {
        self.claims.claim(app, library, folder).map_err(|(other, other_folder)| StageError::Shared {
            path: library.to_owned(),
            folder: folder.to_owned(),
            other,
            other_folder,
        })
    }

    fn current(&self) -> Arc<ProcessFolder> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The folder to stage in, and the copy's path.
    fn place_for(&self, app: &str) -> Result<(Arc<ProcessFolder>, PathBuf), StageError> {
        if app.is_empty() || app.contains(['/', '\0']) {
            return Err(StageError::AppName { app: app.to_owned() });
        }
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if !folder.path().is_dir() {
            // Somebody has cleaned up. A host that runs for months must not stop reloading because of that.
            log::warn!(
                "the folder {} for staged copies is gone: creating a new one",
                folder.path().display()
            );
            *folder = Arc::new(ProcessFolder::create(&self.place)?);
        }
        let number = self.copies.fetch_add(1, Ordering::Relaxed) + 1;
        let path = folder.path().join(format!("{app}-{number}.so"));
        Ok((folder.clone(), path))
    }
}

#[cfg(test)]
mod tests;
