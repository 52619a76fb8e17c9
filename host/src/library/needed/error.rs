//! Why the shared libraries beside an app's library cannot be loaded with it.

use std::io;
use std::path::PathBuf;

use super::places::NEEDED_LIBRARIES;

/// Why the shared libraries beside an app's library cannot be loaded with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NeededError {
    /// Libraries need each other.
    #[error("shared libraries need each other: {}; link them into one, or link one of them statically", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// There are too many of them.
    #[error(
        "more than {NEEDED_LIBRARIES} shared libraries are found beside it: link some of them statically, or install them \
        as system libraries"
    )]
    TooMany,
    /// A file cannot be read.
    #[error("cannot read the shared library {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// Somebody has the file open for writing.
    #[error("the shared library {} is being written", .0.display())]
    BeingWritten(PathBuf),
    /// The names in a library cannot be replaced.
    #[error(
        "cannot rename the shared libraries in {}: {reason}; link it with a current linker, or link what it needs statically",
        path.display()
    )]
    Rename {
        /// The library.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
}
