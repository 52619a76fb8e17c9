//! Staged copies: what is loaded is never the file that a compiler may overwrite.
//!
//! Writing to a file that is mapped changes the code under the feet of the threads that run it. And the
//! dynamic loader tells libraries apart by inode, so a new build under the same inode would not be loaded at
//! all. What is loaded is therefore a copy that is a new file, in a folder that belongs to this process. A copy whose
//! library is out of the process again may be loaded once more.

mod claims;
mod copy;
mod folder;
mod kept;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::claims::Claims;
use self::copy::OwnedFile;
use self::folder::ProcessFolder;
pub(crate) use self::folder::{CommonFolder, open_folder};
pub use self::kept::Kept;
pub(crate) use self::kept::Original;
use self::kept::Store;
use crate::config::Settings;
use crate::library::checksum::Checksum;
use crate::watch::Fingerprint;

/// Why a library could not be staged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The library could not be read.
    #[error("cannot read the library {}: {reason}", path.display())]
    Read {
        /// The library.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The path does not lead to a file.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The library is larger than it may be.
    #[error(
        "the library {} is too large: found {found} bytes, at most {limit} are loaded (the setting `library_limit`)",
        path.display()
    )]
    TooLarge {
        /// The library.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// Somebody has the library open for writing. [`Watcher`](crate::watch::Watcher) reports it when they are done.
    #[error("the library {} is being written", path.display())]
    BeingWritten {
        /// The library.
        path: PathBuf,
    },
    /// The library changed while it was being copied.
    #[error(
        "the library {} changed while it was being copied ({} bytes before, {} bytes after)",
        path.display(),
        before.size(),
        after.size()
    )]
    Changed {
        /// The library.
        path: PathBuf,
        /// What it was when the copy was begun.
        before: Box<Fingerprint>,
        /// What it was when the copy was finished.
        after: Box<Fingerprint>,
    },
    /// Two crates build the same file.
    #[error(
        "{} is what the crate in {} builds, and the one in {}, of the app {other}, too: give one of them another `name` \
         under `[lib]`, or another target folder",
        path.display(),
        folder.display(),
        other_folder.display()
    )]
    Shared {
        /// The file.
        path: PathBuf,
        /// The folder of the app's crate.
        folder: PathBuf,
        /// The other app.
        other: String,
        /// The folder of its crate.
        other_folder: PathBuf,
    },
    /// A library that was kept is not what it was when it was kept.
    #[error(
        "the kept library {} is damaged: its hash was {expected} and is {found}; to go back, put the older library \
         where the app's path leads",
        path.display()
    )]
    Damaged {
        /// The kept copy.
        path: PathBuf,
        /// The hash it was kept under.
        expected: ContentHash,
        /// The hash it has.
        found: ContentHash,
    },
    /// The copy could not be written.
    #[error("cannot write the staged copy {}: {reason}", path.display())]
    Write {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The folder for staged copies could not be made.
    #[error("cannot make the folder {} for staged copies: {reason} (set TMPDIR to choose another place)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The folder for staged copies is not safe, as somebody else could exchange the libraries in it.
    #[error(
        "the folder {} for staged copies is not safe: {found}, needed is a folder of user {user} \
         (remove it, or set TMPDIR to choose another place)",
        path.display()
    )]
    UnsafeFolder {
        /// The folder.
        path: PathBuf,
        /// What it is.
        found: String,
        /// The user that the host runs as.
        user: u32,
    },
    /// The app's name cannot be part of a file's name.
    #[error("an app called {app:?} cannot have a staged copy, as its name cannot be part of a file's name")]
    AppName {
        /// The app's name.
        app: String,
    },
}

impl StageError {
    /// Whether the library is just being written, so that it is worth trying again when it has changed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, StageError::BeingWritten { .. } | StageError::Changed { .. })
    }
}

/// What tells the contents of one library from another: a BLAKE3 hash, shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// That of a whole content.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// The hash's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 digits, which are enough for people to tell libraries apart.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// A copy of a library, for one generation at a time. Dropping it deletes the copy.
///
/// A library that is mapped stays usable without its file, but it must not be dropped before `dlopen`.
#[derive(Debug)]
pub struct Staged {
    file: OwnedFile,
    app: String,
    hash: ContentHash,
    size: u64,
    source: PathBuf,
    fingerprint: Fingerprint,
    /// What the copy itself was when it was made.
    own_fingerprint: Fingerprint,
    /// Whether every later write to the source shows in the source's fingerprint.
    settled: bool,
    checksum: Option<Checksum>,
    /// The folder is removed when neither the [`Staging`] nor a copy in it is left.
    _folder: Arc<ProcessFolder>,
}

impl Staged {
    /// Where the copy is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name of the app that it was made for.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The hash of its contents.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The library that it is a copy of.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// What the library was when it was copied. A [`Change`](crate::Change) whose fingerprint does not
    /// [differ](Fingerprint::differs_from) from this one is already in this copy.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What its last bytes are, if they are a checksum. `None`: it is smaller than one.
    pub(crate) fn checksum(&self) -> Option<Checksum> {
        self.checksum
    }

    /// Whether [`is_current`](Self::is_current) can ever say yes: not, if the library had just been written when it
    /// was copied, nor for a library that was kept.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether this copy can stand for a new one of `library`: that is still what it was when it was copied, nobody is
    /// writing to it, and the copy is untouched. In doubt it cannot.
    pub fn is_current(&self, library: &Path) -> bool {
        self.settled
            && self.source == library
            && copy::is_still(library, &self.fingerprint)
            && Fingerprint::of(self.path()).is_ok_and(|now| !now.differs_from(&self.own_fingerprint))
    }
}

/// The staged copies of this host process, and the last good libraries of each app.
///
/// They are in a folder of its own, `$TMPDIR/atoll-{user id}/{process id}-{start time}`, open to this user
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
    /// How many copies were made, so that each has a name of its own.
    copies: AtomicU64,
    store: Store,
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
            claims: Claims::default(),
        })
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

    /// As [`stage`](Self::stage), for a library of at most `limit` bytes.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage).
    pub fn stage_up_to(&self, limit: u64, app: &str, library: &Path) -> Result<Staged, StageError> {
        let (folder, path) = self.place_for(app)?;
        let (file, copied) = copy::library(library, path, limit)?;
        Ok(Staged {
            file,
            app: app.to_owned(),
            hash: copied.hash,
            size: copied.size,
            source: library.to_owned(),
            fingerprint: copied.fingerprint,
            own_fingerprint: copied.own_fingerprint,
            settled: copied.settled,
            checksum: copied.checksum,
            _folder: folder,
        })
    }

    /// Keeps the library of a generation for going back to it, as the newest of its app, and forgets all but the
    /// newest `count` of that app. One with the same contents is kept once.
    ///
    /// # Errors
    /// The copy could not be written.
    pub fn keep(&self, staged: &Staged, generation: u64, count: usize) -> Result<(), StageError> {
        self.keep_original(&Original::of(staged), generation, count)
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
        self.store.of(app)
    }

    /// Copies a library that was kept for `app`.
    ///
    /// # Errors
    /// It is damaged, or there is no room.
    pub fn restage(&self, app: &str, kept: &Kept) -> Result<Staged, StageError> {
        let staged = self.stage_up_to(u64::MAX, app, kept.path())?;
        if staged.hash != kept.hash() {
            return Err(StageError::Damaged {
                path: kept.path().to_owned(),
                expected: kept.hash(),
                found: staged.hash,
            });
        }
        let (source, fingerprint) = (kept.source().to_owned(), kept.fingerprint());
        Ok(Staged { source, fingerprint, settled: false, ..staged })
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
            log::warn!("the folder {} for staged copies is gone: making a new one", folder.path().display());
            *folder = Arc::new(ProcessFolder::create(&self.place)?);
        }
        let number = self.copies.fetch_add(1, Ordering::Relaxed) + 1;
        let path = folder.path().join(format!("{app}-{number}.so"));
        Ok((folder.clone(), path))
    }
}

#[cfg(test)]
mod tests;
