//! Staged copies: what is loaded is never the file that a compiler may overwrite.
//!
//! Writing to a file that is mapped changes the code under the feet of the threads that run it. And the
//! dynamic loader tells libraries apart by inode, so a new build under the same inode would not be loaded at
//! all. Each generation therefore gets a copy that is a new file, in a folder that belongs to this process.

mod copy;
mod folder;
mod kept;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use self::copy::OwnedFile;
use self::folder::ProcessFolder;
pub use self::kept::Kept;
use self::kept::Store;
use crate::watch::Fingerprint;

/// Why a library could not be staged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The library could not be read.
    #[error("cannot read the library {}: {source}", path.display())]
    Read {
        /// The library.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path does not lead to a file.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Somebody has the library open for writing. [`Watcher`](crate::Watcher) reports it when they are done.
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
    /// A library that was kept is not what it was when it was kept.
    #[error("the kept library {} is damaged: its hash was {expected} and is {found}", path.display())]
    Damaged {
        /// The kept copy.
        path: PathBuf,
        /// The hash it was kept under.
        expected: ContentHash,
        /// The hash it has.
        found: ContentHash,
    },
    /// The copy could not be written.
    #[error("cannot write the staged copy {}: {source}", path.display())]
    Write {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder for staged copies could not be made.
    #[error("cannot make the folder {} for staged copies: {source} (set TMPDIR to choose another place)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
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

/// A copy of a library, made for one generation. Dropping it deletes the copy.
///
/// A library that is mapped stays usable without its file, but it must not be dropped before `dlopen`.
#[derive(Debug)]
pub struct Staged {
    file: OwnedFile,
    app: String,
    generation: u64,
    hash: ContentHash,
    size: u64,
    source: PathBuf,
    fingerprint: Fingerprint,
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

    /// The generation that it was made for.
    pub fn generation(&self) -> u64 {
        self.generation
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
/// let staging = atoll_host::Staging::within(folder.path())?;
/// let staged = staging.stage("hello", 1, &library)?;
/// assert!(staged.path().ends_with("hello-1.so"));
/// assert_eq!(staged.size(), 9);
///
/// staging.keep(&staged, 3)?;
/// let last_good = &staging.kept("hello")[0];
/// let again = staging.restage("hello", 2, last_good)?;
/// assert_eq!(again.hash(), staged.hash());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Staging {
    place: PathBuf,
    folder: Mutex<Arc<ProcessFolder>>,
    store: Store,
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
        Ok(Staging { place, folder, store: Store::default() })
    }

    /// The folder that hosts of this user share.
    pub(crate) fn common_folder(&self) -> PathBuf {
        folder::common(&self.place)
    }

    /// The folder of this process.
    pub fn folder(&self) -> PathBuf {
        self.current().path().to_owned()
    }

    /// Copies `library` for the given generation of `app`.
    ///
    /// # Errors
    /// The library is missing, or being written (see [`StageError::is_temporary`]), or there is no room.
    pub fn stage(&self, app: &str, generation: u64, library: &Path) -> Result<Staged, StageError> {
        let (folder, path) = self.place_for(app, generation)?;
        let (file, copied) = copy::library(library, path)?;
        Ok(Staged {
            file,
            app: app.to_owned(),
            generation,
            hash: copied.hash,
            size: copied.size,
            source: library.to_owned(),
            fingerprint: copied.fingerprint,
            _folder: folder,
        })
    }

    /// Keeps a library for going back to it, as the newest of its app, and forgets all but the newest
    /// `count` of that app. One with the same contents is kept once.
    ///
    /// # Errors
    /// The copy could not be written.
    pub fn keep(&self, staged: &Staged, count: usize) -> Result<(), StageError> {
        self.store.keep(&self.current(), staged, count)
    }

    /// The libraries of `app` that are kept, the newest first.
    pub fn kept(&self, app: &str) -> Vec<Kept> {
        self.store.of(app)
    }

    /// Copies a library that was kept for the given generation of `app`.
    ///
    /// # Errors
    /// It is damaged, or there is no room.
    pub fn restage(&self, app: &str, generation: u64, kept: &Kept) -> Result<Staged, StageError> {
        let staged = self.stage(app, generation, kept.path())?;
        if staged.hash != kept.hash() {
            return Err(StageError::Damaged {
                path: kept.path().to_owned(),
                expected: kept.hash(),
                found: staged.hash,
            });
        }
        Ok(Staged { source: kept.source().to_owned(), fingerprint: kept.fingerprint(), ..staged })
    }

    fn current(&self) -> Arc<ProcessFolder> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The folder to stage in, and the copy's path.
    fn place_for(&self, app: &str, generation: u64) -> Result<(Arc<ProcessFolder>, PathBuf), StageError> {
        if app.is_empty() || app.contains(['/', '\0']) {
            return Err(StageError::AppName { app: app.to_owned() });
        }
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        if !folder.path().is_dir() {
            // Somebody has cleaned up. A host that runs for months must not stop reloading because of that.
            log::warn!("the folder {} for staged copies is gone: making a new one", folder.path().display());
            *folder = Arc::new(ProcessFolder::create(&self.place)?);
        }
        let path = folder.path().join(format!("{app}-{generation}.so"));
        Ok((folder.clone(), path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    fn setup() -> (tempfile::TempDir, Staging, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::within(folder.path()).unwrap();
        let library = folder.path().join("libhello.so");
        fs::write(&library, "first").unwrap();
        (folder, staging, library)
    }

    #[test]
    fn a_copy_is_a_new_file_and_goes_with_its_owner() {
        let (_folder, staging, library) = setup();
        let staged = staging.stage("hello", 7, &library).unwrap();
        assert_eq!(staged.path(), staging.folder().join("hello-7.so"));
        assert_eq!(fs::read(staged.path()).unwrap(), b"first");
        assert_eq!((staged.size(), staged.source()), (5, library.as_path()));
        assert_eq!(staged.fingerprint(), Fingerprint::of(&library).unwrap());
        assert_eq!(staged.hash().as_bytes(), blake3::hash(b"first").as_bytes());
        assert_eq!(staged.hash().to_string(), blake3::hash(b"first").to_hex().as_str());
        let (copy, original) = (fs::metadata(staged.path()).unwrap(), fs::metadata(&library).unwrap());
        assert_ne!(copy.ino(), original.ino());
        let path = staged.path().to_owned();
        drop(staged);
        assert!(!path.exists());
    }

    #[test]
    fn a_copy_is_never_written_over_another() {
        let (_folder, staging, library) = setup();
        let staged = staging.stage("hello", 1, &library).unwrap();
        fs::write(&library, "second").unwrap();
        assert!(matches!(staging.stage("hello", 1, &library), Err(StageError::Write { .. })));
        assert_eq!(fs::read(staged.path()).unwrap(), b"first");
    }

    #[test]
    fn a_library_that_is_being_written_is_not_copied() {
        let (_folder, staging, library) = setup();
        let writer = fs::OpenOptions::new().append(true).open(&library).unwrap();
        let error = staging.stage("hello", 1, &library).unwrap_err();
        assert!(matches!(error, StageError::BeingWritten { .. }) && error.is_temporary(), "{error}");
        drop(writer);
        staging.stage("hello", 1, &library).unwrap();
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (folder, staging, library) = setup();
        assert!(matches!(staging.stage("hello", 1, folder.path()), Err(StageError::NotAFile { .. })));
        fs::remove_file(&library).unwrap();
        assert!(matches!(staging.stage("hello", 1, &library), Err(StageError::Read { .. })));
        assert!(matches!(staging.stage("../hello", 1, &library), Err(StageError::AppName { .. })));
        assert_eq!(fs::read_dir(staging.folder()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_folder_that_was_cleaned_up_is_made_again() {
        let (_folder, staging, library) = setup();
        let staged = staging.stage("hello", 1, &library).unwrap();
        fs::remove_dir_all(staging.folder().parent().unwrap()).unwrap();
        let again = staging.stage("hello", 2, &library).unwrap();
        assert!(again.path().exists());
        drop(staged);
        assert!(again.path().exists());
    }

    #[test]
    fn the_folder_outlives_the_staging_and_goes_with_the_last_copy() {
        let (_folder, staging, library) = setup();
        let folder = staging.folder();
        let staged = staging.stage("hello", 1, &library).unwrap();
        drop(staging);
        assert!(staged.path().exists());
        drop(staged);
        assert!(!folder.exists());
    }
}
