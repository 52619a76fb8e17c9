//! The crate that a library is built from.

use std::path::PathBuf;

/// The crate that a library is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name, as `cargo build -p` takes it.
    pub name: String,
    /// The folder of its `Cargo.toml`.
    pub folder: PathBuf,
    /// The folder of the workspace that it belongs to, where `cargo` is to be run; often the same.
    pub workspace: PathBuf,
    /// The file name of its library, as `libhello.so`.
    pub library: String,
}
