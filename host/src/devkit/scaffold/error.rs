//! Why there is no new app.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Why an app was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScaffoldError {
    /// The registry does not take such a name.
    #[error("`{name}` cannot be the name of an app: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The crate would depend on one that is called like itself.
    #[error("`{name}` cannot be the name of the app: it depends on a crate of that name; choose another one")]
    OfDependency {
        /// The name.
        name: String,
    },
    /// The registry has an app of that name.
    #[error(
        "{} has an app `{name}` already, whose path is {}; choose another name, or remove that one",
        registry.display(),
        path.display()
    )]
    Registered {
        /// The name.
        name: String,
        /// The registry.
        registry: PathBuf,
        /// The path of the app of that name.
        path: PathBuf,
    },
    /// The registry cannot be used as it is.
    #[error(transparent)]
    Registry(#[from] ConfigError),
    /// The registry is to be in a folder that is not there.
    #[error("cannot make {}: there is no such folder; make it, or correct --config", registry.display())]
    NoFolder {
        /// The registry.
        registry: PathBuf,
    },
    /// Something is where the crate is to be.
    #[error("{} is there already; choose another name, or another folder by --path", folder.display())]
    Exists {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// The registry cannot name the folder.
    #[error("{} is no UTF-8 text, as a path in the registry has to be; choose another folder by --path", folder.display())]
    NotText {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// There is no cargo, or it cannot be started.
    #[error(
        "cannot run {}: {reason}; install Rust from https://rustup.rs, or put `cargo` into PATH",
        program.display()
    )]
    NoCargo {
        /// What was to be run.
        program: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Cargo refuses: the name, or what would become of the workspace.
    #[error("cargo refuses: {message}")]
    Cargo {
        /// What cargo says.
        message: String,
    },
    /// The manifest that cargo has made is no TOML.
    #[error("cargo has made a Cargo.toml that cannot be read: {0}")]
    Manifest(toml_edit::TomlError),
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}
