//! What is opened of an app: its library, and those that it needs.

use std::path::PathBuf;

/// The files to open, in this process or in another one.
#[derive(Clone, Debug)]
pub(crate) struct OpenPaths {
    /// The library.
    pub(crate) library: PathBuf,
    /// The copies of libraries beside it which it needs, each behind those that it needs itself.
    pub(crate) needed: Vec<NeededPath>,
    /// Where was looked for those, for people.
    pub(crate) searched: Vec<String>,
}

/// The copy of a shared library.
#[derive(Clone, Debug)]
pub(crate) struct NeededPath {
    /// The name that it has in the process.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
}

impl NeededPath {
    /// The name of the original library: without what tells its content.
    pub(crate) fn original_name(&self) -> &str {
        self.name.rsplit_once('-').map_or(&self.name, |(name, _)| name)
    }
}
