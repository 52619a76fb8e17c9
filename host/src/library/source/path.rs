//! What an app's `path` and its build settings say of where its library is.

use std::path::{Path, PathBuf};

/// What an app's `path` and its build settings say of where its library is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePath {
    /// A crate's folder, a folder with a library in it, or a library.
    pub path: PathBuf,
    /// The profile that the library of a crate is built with. `None`: any.
    pub profile: Option<String>,
    /// The target triple that it is built for. `None`: this machine's.
    pub target: Option<String>,
}

impl From<PathBuf> for SourcePath {
    fn from(path: PathBuf) -> Self {
        Self { path, profile: None, target: None }
    }
}

impl From<&Path> for SourcePath {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&PathBuf> for SourcePath {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}
