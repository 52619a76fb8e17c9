//! Why a library could not be staged.

use std::io;
use std::path::PathBuf;

use crate::library::content_hash::ContentHash;
use crate::library::needed::NeededError;
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
        /// The system's error.
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
        "the library {} is too large: found {found} bytes, the limit is {limit} (the setting `library_limit`)",
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
        "{} is built by both the crate in {} and the one in {} of the app {other}: give one of them another `name` \
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
        "the kept library {} is damaged: expected hash {expected}, found {found}; to roll back, install the older \
        library at the app's path",
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
    /// The shared libraries beside the library cannot be loaded with it.
    #[error(transparent)]
    Needed(#[from] NeededError),
    /// The copy could not be written.
    #[error("cannot write the staged copy {}: {reason}", path.display())]
    Write {
        /// The copy.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The folder for staged copies could not be made.
    #[error("cannot create the folder {} for staged copies: {reason} (set TMPDIR to another folder)", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The folder for staged copies is not safe, as somebody else could exchange the libraries in it.
    #[error(
        "the folder {} for staged copies is not safe: {found}; expected a folder that only user {user} can write to \
         (remove it, or set TMPDIR to another folder)",
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
    #[error("cannot stage a library for the app {app:?}: its name is not a valid file name")]
    AppName {
        /// The app's name.
        app: String,
    },
}

impl StageError {
    /// Whether the library is just being written, so that it is worth trying again when it has changed.
    pub fn is_temporary(&self) -> bool {
        let is_written = matches!(self, StageError::Needed(NeededError::BeingWritten(_)));
        is_written || matches!(self, StageError::BeingWritten { .. } | StageError::Changed { .. })
    }
}
