//! The files of apps that are uploaded.

use std::path::{Path, PathBuf};

use anyhow::Context;
use atoll_host::internal::ContentHash;
use atoll_host::internal::check::Checked;
use atoll_host::internal::deploy::SharedLibrary;

/// A file, and what it is known by.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) hash: String,
    pub(super) size: u64,
}

/// The files of an app.
#[derive(Clone, Debug)]
pub(super) struct AppFiles {
    pub(super) library: NamedFile,
    /// The shared libraries that it needs, by name.
    needed: Vec<(String, NamedFile)>,
}

impl AppFiles {
    /// Those of a library that is ready for deployment.
    pub(super) fn of(checked: &Checked) -> anyhow::Result<Self> {
        let needed = checked.needed.iter().map(|needed| {
            let (path, hash) = (needed.path.clone(), needed.hash.to_string());
            (needed.name.clone(), NamedFile { path, hash, size: needed.size })
        });
        Ok(Self { library: named(&checked.path, checked.size)?, needed: needed.collect() })
    }

    pub(super) fn shared(&self) -> Vec<SharedLibrary> {
        let shared = |(name, file): &(String, NamedFile)| SharedLibrary {
            name: name.clone(),
            hash: file.hash.clone(),
        };
        self.needed.iter().map(shared).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &NamedFile> {
        self.needed.iter().map(|(_, file)| file).chain([&self.library])
    }
}

fn named(path: &Path, size: u64) -> anyhow::Result<NamedFile> {
    let hash = ContentHash::of_file(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(NamedFile { path: path.to_owned(), hash: hash.to_string(), size })
}
