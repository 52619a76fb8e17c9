//! Why there is no new app.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;

/// Why an app was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScaffoldError {
    /// The registry does not take such a name.
    #[error("invalid app name `{name}`: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The crate would depend on one that is called like itself.
    #[error("invalid app name `{name}`: the app depends on a crate of that name; choose another name")]
    OfDependency {
        /// The name.
        name: String,
    },
    /// The registry has an app of that name.
    #[error(
        "{} already has an app `{name}` with the path {}; choose another name, or remove that app",
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
    #[error("cannot create {}: its folder does not exist; create it, or correct --config", registry.display())]
    NoFolder {
        /// The registry.
        registry: PathBuf,
    },
    /// Something is where the crate is to be.
    #[error("{} already exists; choose another name, or another folder with --path", folder.display())]
    Exists {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// The registry cannot name the folder.
    #[error("the path {} is not UTF-8; choose another folder with --path", folder.display())]
    NotText {
        /// The crate's folder.
        folder: PathBuf,
    },
    /// There is no cargo, or it cannot be started.
    #[error(
        "cannot run {}: {reason}; install Rust from https://rustup.rs, or add `cargo` to PATH",
        program.display()
    )]
    NoCargo {
        /// What was to be run.
        program: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// Cargo refuses: the name, or what would become of the workspace.
    #[error("cargo failed: {message}")]
    Cargo {
        /// Cargo's error.
        message: String,
    },
    /// The manifest that cargo has made is no TOML.
    #[error("cannot parse the Cargo.toml that cargo created: {0}")]
    Manifest(toml_edit::TomlError),
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
}
