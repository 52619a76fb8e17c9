//! Paths to compare.

use std::path::{Path, PathBuf};

/// A path without links and detours, so that two paths of one file or folder are the same. One that leads nowhere stays as
/// it is.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
