//! The files of a version in a separate folder, as a host loads them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::VersionError;
use super::store::Versions;
use super::version::{SharedLibrary, Version};
use crate::library::content_hash::ContentHash;
use crate::library::needed::bundle_folder;

/// The folder for those of the versions that serve beside the current one.
const BESIDE: &str = "beside";

impl Versions {
    /// Links the files of a version to where they can be loaded; its library there.
    ///
    /// # Errors
    /// A file is missing, or cannot be linked.
    pub(crate) fn unpack(&self, app: &str, version: &Version) -> Result<PathBuf, VersionError> {
        let folder = self.app(app)?.join(BESIDE).join(&version.id);
        fs::create_dir_all(&folder).map_err(|reason| VersionError::File { path: folder.clone(), reason })?;
        self.link(app, &folder, version.library.parse()?, &version.libraries)
    }

    /// Removes what was unpacked of the versions with other ids than these.
    ///
    /// # Errors
    /// A folder cannot be read or removed.
    pub(crate) fn remove_unpacked_but(&self, app: &str, ids: &[&str]) -> Result<(), VersionError> {
        let folder = self.app(app)?.join(BESIDE);
        let failed = |path: PathBuf| move |reason| VersionError::File { path, reason };
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed(folder))?,
        };
        for entry in entries.flatten() {
            if !ids.iter().any(|id| *entry.file_name() == **id) {
                fs::remove_dir_all(entry.path()).map_err(failed(entry.path()))?;
            }
        }
        Ok(())
    }

    /// Links a library into a folder, with the shared libraries beside it; its path there. What is there already stays.
    pub(super) fn link(
        &self,
        app: &str,
        folder: &Path,
        library: ContentHash,
        libraries: &[SharedLibrary],
    ) -> Result<PathBuf, VersionError> {
        let path = folder.join(format!("{app}.so"));
        hard_link(&self.file(app, library)?, &path)?;
        if libraries.is_empty() {
            return Ok(path);
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason: io::Error| VersionError::File { path, reason }
        };
        let beside = bundle_folder(&path, &fs::read(&path).map_err(failed(&path))?);
        fs::create_dir_all(&beside).map_err(failed(&beside))?;
        for shared in libraries {
            hard_link(&self.file(app, shared.hash.parse()?)?, &beside.join(&shared.name))?;
        }
        Ok(path)
    }
}

fn hard_link(from: &Path, to: &Path) -> Result<(), VersionError> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(VersionError::File { path: from.to_owned(), reason: error })
        }
        _ => Ok(()),
    }
}
