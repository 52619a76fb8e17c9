//! The folder of an app's versions.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::VersionError;
use super::index::Index;
use super::rollout::Rollout;
use super::traffic::Share;
use super::uploads;
use super::version::Version;
use crate::config::is_app_name;
use crate::deploy::served::{Installation, Installed, ServedFolder};
use crate::fs::state_folder::state_folder;
use crate::fs::{atomic_file, regular_file};
use crate::library::check::NeededFile;
use crate::library::content_hash::ContentHash;
use crate::library::needed::bundle_folder;

const INDEX: &str = "versions.json";

/// How many bytes the index of an app may have.
const INDEX_LIMIT: u64 = 64 << 20;

/// The versions of the apps of one registry file.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    /// `None`: the host keeps nothing.
    folder: Option<PathBuf>,
}

impl Versions {
    /// Those of the host of a registry file, which keeps what it keeps in the folder `state`.
    pub(crate) fn new(state: Option<&Path>, config: &Path) -> Self {
        Self { folder: state.map(|state| state_folder(state, "versions", config)) }
    }

    /// Whether the host keeps versions.
    pub(crate) fn are_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// The versions of an app.
    ///
    /// # Errors
    /// The list cannot be read.
    pub(crate) fn index(&self, app: &str) -> Result<Index, VersionError> {
        match self.folder {
            Some(_) => read(&self.app(app)?.join(INDEX)),
            None => Ok(Index::default()),
        }
    }

    /// Where the files of an app are, which need not be there.
    pub(super) fn app(&self, app: &str) -> Result<PathBuf, VersionError> {
        if !is_app_name(app) {
            return Err(VersionError::AppName(app.to_owned()));
        }
        Ok(self.folder.as_ref().ok_or(VersionError::NoFolder)?.join(app))
    }

    /// As [`app`](Self::app), and makes the folder.
    pub(super) fn make(&self, app: &str) -> Result<PathBuf, VersionError> {
        let folder = self.app(app)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|reason| VersionError::File { path: folder.clone(), reason })?;
        Ok(folder)
    }

    /// The file with this content, whether it is there or not.
    pub(super) fn file(&self, app: &str, hash: ContentHash) -> Result<PathBuf, VersionError> {
        Ok(self.app(app)?.join(hash.to_string()))
    }

    /// What a version puts into the folder that is served.
    ///
    /// # Errors
    /// A file is missing.
    pub(crate) fn installation(&self, app: &str, version: &Version) -> Result<Installation, VersionError> {
        let of = |hash: &str| -> Result<(PathBuf, ContentHash, u64), VersionError> {
            let hash = hash.parse()?;
            let path = self.file(app, hash)?;
            match fs::metadata(&path) {
                Ok(metadata) => Ok((path, hash, metadata.len())),
                Err(reason) => Err(VersionError::File { path, reason }),
            }
        };
        let (library, ..) = of(&version.library)?;
        let needed = version.libraries.iter().map(|shared| {
            let (path, hash, size) = of(&shared.hash)?;
            Ok(NeededFile { name: shared.name.clone(), path, size, hash })
        });
        let needed = needed.collect::<Result<_, VersionError>>()?;
        Ok(Installation { library, needed, entry: version.entry.clone() })
    }

    /// What is in the folder of an app, to put it back later; `None`: nothing. Its files are copied.
    ///
    /// # Errors
    /// A file cannot be read or copied.
    pub(crate) fn backup(
        &self,
        app: &str,
        folder: &ServedFolder,
    ) -> Result<Option<Installation>, VersionError> {
        let Some(Installed { library, entry }) = folder.installed(app)? else { return Ok(None) };
        let path = folder.library(app);
        let failed = |reason| VersionError::File { path: path.clone(), reason };
        self.copy(app, library, &path)?;
        let content = fs::read(&path).map_err(failed)?;
        let mut needed = Vec::new();
        let beside = fs::read_dir(bundle_folder(&path, &content));
        for beside in beside.into_iter().flatten() {
            let beside = beside.map_err(failed)?;
            if !beside.file_type().map_err(failed)?.is_file() {
                continue;
            }
            let (from, name) = (beside.path(), beside.file_name().to_string_lossy().into_owned());
            let hash = ContentHash::of_file(&from).map_err(failed)?;
            self.copy(app, hash, &from)?;
            let size = beside.metadata().map_err(failed)?.len();
            needed.push(NeededFile { name, path: self.file(app, hash)?, size, hash });
        }
        Ok(Some(Installation { library: self.file(app, library)?, needed, entry }))
    }

    /// Takes note that a version is being promoted.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn promoting(&self, app: &str, id: &str) -> Result<(), VersionError> {
        self.change(app, |index| index.promoting = Some(id.to_owned()))
    }

    /// The apps that have had versions.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn apps(&self) -> Result<Vec<String>, VersionError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|reason| VersionError::File { path: folder.clone(), reason })?,
        };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| is_app_name(name)).collect())
    }

    /// The apps with the versions that were being promoted when the host ended.
    ///
    /// # Errors
    /// The folder or a list cannot be read.
    pub(crate) fn interrupted(&self) -> Result<Vec<(String, String)>, VersionError> {
        let mut found = Vec::new();
        for app in self.apps()? {
            if let Some(id) = self.index(&app)?.promoting {
                found.push((app, id));
            }
        }
        Ok(found)
    }

    /// Takes note that a version serves, from now on.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn promoted(&self, app: &str, id: &str, now_ms: u64, keep: usize) -> Result<(), VersionError> {
        self.change(app, |index| {
            index.current = Some(id.to_owned());
            index.promoting.take_if(|promoting| *promoting == id);
            index.beside.retain(|share| share.version != id);
            index.update(id, |version| {
                version.promoted_ms = Some(now_ms);
                version.failure = None;
                version.held = false;
            });
            index.prune(keep);
        })
    }

    /// Takes note that the app was removed: none of its versions is the current one.
    ///
    /// # Errors
    /// The list cannot be written.
    #[cfg(feature = "fleet")]
    pub(crate) fn removed(&self, app: &str) -> Result<(), VersionError> {
        self.change(app, |index| {
            index.current = None;
            index.promoting = None;
            index.beside.clear();
        })
    }

    /// Takes note of which versions serve beside the current one, from now on.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn split(&self, app: &str, beside: Vec<Share>, keep: usize) -> Result<(), VersionError> {
        self.change(app, |index| {
            index.beside = beside;
            index.prune(keep);
        })
    }

    /// Takes note of how far a rollout has come.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn note_rollout(&self, app: &str, rollout: Rollout) -> Result<(), VersionError> {
        self.change(app, |index| index.rollout = Some(rollout))
    }

    /// Takes note of why a version is not the current one; with `is_held`, it is not promoted again until someone asks for it.
    ///
    /// # Errors
    /// The list cannot be written.
    pub(crate) fn failed(
        &self,
        app: &str,
        id: &str,
        reason: &str,
        is_held: bool,
        keep: usize,
    ) -> Result<(), VersionError> {
        self.change(app, |index| {
            index.promoting = None;
            index.update(id, |version| {
                version.failure = Some(reason.to_owned());
                version.held = is_held;
            });
            index.prune(keep);
        })
    }

    /// Changes the list of an app, and removes the files that no version has any more.
    ///
    /// # Errors
    /// The list cannot be written; then it stays as it was.
    pub(super) fn change<T>(
        &self,
        app: &str,
        change: impl FnOnce(&mut Index) -> T,
    ) -> Result<T, VersionError> {
        let folder = self.make(app)?;
        let failed = |reason| VersionError::File { path: folder.clone(), reason };
        let lock = File::open(&folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let path = folder.join(INDEX);
        let mut index = read(&path)?;
        let before = index.clone();
        let changed = change(&mut index);
        if index != before {
            let text = serde_json::to_vec(&index).map_err(|error| failed(error.into()))?;
            // It may have values of `env`.
            atomic_file::write_to_disk(&path, 0o600, |file| file.write_all(&text)).map_err(failed)?;
            uploads::remove_unused(&folder, &before, &index).map_err(failed)?;
        }
        Ok(changed)
    }
}

fn read(path: &Path) -> Result<Index, VersionError> {
    match regular_file::read(path, INDEX_LIMIT) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|reason| VersionError::Index { path: path.to_owned(), reason }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Index::default()),
        Err(reason) => Err(VersionError::File { path: path.to_owned(), reason }),
    }
}
