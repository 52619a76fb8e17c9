//! Why a version is not kept, or not found.

use std::io;
use std::path::PathBuf;

use super::limits::{MAX_NOTE, UPLOAD_PIECE};
use crate::deploy::error::DeployError;
use crate::library::check::CheckError;
use crate::library::content_hash::{ContentHash, NoContentHash};

/// Why a version is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VersionError {
    /// The host keeps nothing.
    #[error("this host keeps no versions: start it with --state-dir")]
    NoFolder,
    /// The name is none of an app.
    #[error(
        "invalid app name {0:?}: expected 1 to 64 characters a-z A-Z 0-9 - _ . that start with a letter or digit"
    )]
    AppName(String),
    /// A hash is none.
    #[error(transparent)]
    Hash(#[from] NoContentHash),
    /// A shared library has no name that a file can have.
    #[error("invalid name of a shared library {0:?}: expected the name of a file, without a folder")]
    LibraryName(String),
    /// There are too many shared libraries.
    #[error("too many shared libraries: found {found}, the limit is {limit} (needed_libraries)")]
    TooManyLibraries { found: usize, limit: usize },
    /// The note is too long.
    #[error("the note is too long: found {0} bytes, the limit is {MAX_NOTE} (version_note)")]
    Note(usize),
    /// A file is too large.
    #[error("the file is too large: found {found} bytes, the limit is {limit} (--upload-limit of the host)")]
    TooLarge { found: u64, limit: u64 },
    /// A piece of a file is not where it can be appended.
    #[error(
        "the host has {received} bytes of this file, so that a piece of {piece} bytes at {offset}, of {size}, does not fit; \
        pieces may have {UPLOAD_PIECE} bytes (upload_piece)"
    )]
    Offset { received: u64, offset: u64, piece: u64, size: u64 },
    /// Another request appends to the file.
    #[error("another upload of this file is in progress; try again when it has ended")]
    Busy,
    /// The content of a file is another one than it should have.
    #[error("the uploaded file is damaged: expected hash {expected}, found {found}; upload it again")]
    Damaged { expected: ContentHash, found: ContentHash },
    /// Files were not uploaded.
    #[error("not uploaded yet: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// The library has no checksum.
    #[error("the library has no checksum: push it with `atoll push`, or build it with `atoll build`")]
    NotSealed,
    /// The host would not run the library.
    #[error("the library was refused: {0}")]
    Refused(CheckError),
    /// There is no such version.
    #[error("unknown version {version:?} of {app}; `atoll versions {app}` lists them")]
    Unknown { app: String, version: String },
    /// Several versions begin so.
    #[error("{version:?} is the beginning of several versions of {app}: {}", .found.join(", "))]
    Ambiguous { app: String, version: String, found: Vec<String> },
    /// There is only the current one.
    #[error("{0} has no version besides the current one; `atoll push --no-promote` adds one")]
    NoOther(String),
    /// There is none to go back to.
    #[error("no earlier version of {0} to roll back to (see the setting `keep`)")]
    NoPrevious(String),
    /// The folder that is served cannot be used.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A file cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    File { path: PathBuf, reason: io::Error },
    /// A file is not what a host has written.
    #[error("{} is damaged: {reason}; move it aside to begin a new list of versions", path.display())]
    Index { path: PathBuf, reason: serde_json::Error },
}
