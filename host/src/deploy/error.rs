//! Why a folder was not written.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::library::needed::NeededError;

/// Why a folder was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The folder is used for something else.
    #[error(
        "{} was not created by `atoll build`: {reason}; choose another folder with --out",
        registry.display()
    )]
    NotOurs {
        /// The `apps.json` that is there.
        registry: PathBuf,
        /// The evidence for it.
        reason: String,
    },
    /// The library of an app is elsewhere.
    #[error(
        "the library of {app} is {}, which a push does not replace: give the app the path {app}.so, relative to apps.json",
        path.display()
    )]
    Elsewhere {
        /// The app.
        app: String,
        /// Its path.
        path: PathBuf,
    },
    /// An entry has what is not part of it.
    #[error("the entry of {app} has `{field}`, which the host sets itself: leave it out")]
    OwnField {
        /// The app.
        app: String,
        /// The field.
        field: &'static str,
    },
    /// Somebody writes to it.
    #[error("another `atoll build` is writing to {}; wait for it to finish", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A library is not what was checked any more.
    #[error("{} has changed since it was checked; run the command again", library.display())]
    Changed {
        /// The library.
        library: PathBuf,
    },
    /// A library has no stamp that could announce a checksum.
    #[error("{} has no stamp for a checksum; build it with this version of atoll-plugin", library.display())]
    NoStamp {
        /// The library.
        library: PathBuf,
    },
    /// The shared libraries beside a library cannot be found.
    #[error(transparent)]
    Needed(#[from] NeededError),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] ConfigError),
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
}
