//! The shared libraries that lay beside a library when it was copied, and their copies.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copy::{self, OwnedFile};
use super::error::StageError;
use super::folder::ProcessFolder;
use crate::fs::regular_file;
use crate::library::content_hash::ContentHash;
use crate::library::needed::{NeededError, RenameError, Renames, combined_hash, find, write_renamed};
use crate::library::open_paths::NeededPath;
use crate::watch::Fingerprint;

/// The shared libraries that a library needs, and that lay beside it when it was copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Needed {
    /// Each behind those that it needs.
    pub(super) libraries: Vec<NeededLibrary>,
    /// Which of them the library needs itself: the name, and the place in `libraries`.
    pub(super) needs: Vec<(String, usize)>,
    pub(super) searched: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct NeededLibrary {
    pub(super) copy: Arc<NeededCopy>,
    pub(super) original: Original,
    /// As in [`Needed`].
    pub(super) needs: Vec<(String, usize)>,
}

/// A file that was copied.
#[derive(Clone, Debug)]
pub(super) struct Original {
    pub(super) path: PathBuf,
    pub(super) hash: ContentHash,
    pub(super) fingerprint: Fingerprint,
    /// Whether every later write to it shows in the fingerprint.
    pub(super) settled: bool,
}

impl Original {
    /// Whether it is still what it was. In doubt it is not.
    pub(super) fn is_current(&self) -> bool {
        self.settled && copy::is_still(&self.path, &self.fingerprint)
    }
}

/// The copy of a shared library, in which it has another name. Its file is there for as long as a copy of a library, or one
/// that is kept for a rollback, holds it.
#[derive(Debug)]
pub(super) struct NeededCopy {
    pub(super) file: OwnedFile,
    /// The name by which the copies of what needs it refer to it.
    pub(super) name: String,
    /// That of the original, with what it needs.
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    /// Those of the copy.
    pub(super) own_hash: ContentHash,
    pub(super) own_fingerprint: Fingerprint,
    pub(super) _folder: Arc<ProcessFolder>,
}

impl NeededCopy {
    /// Whether nobody has changed it.
    pub(super) fn is_untouched(&self) -> bool {
        Fingerprint::read(self.file.path()).is_ok_and(|now| !now.differs_from(&self.own_fingerprint))
    }
}

/// A shared library that was found beside a library.
#[derive(Clone, Debug)]
pub struct NeededFile {
    /// The name by which it is needed.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its contents.
    pub hash: ContentHash,
}

impl Needed {
    pub(super) fn is_empty(&self) -> bool {
        self.libraries.is_empty()
    }

    /// The hash of a library with its own hash, which needs these.
    pub(super) fn hash(&self, own: ContentHash) -> ContentHash {
        combined_hash(own, &self.hashes(&self.needs))
    }

    /// The hashes of the copies, by the names that are needed.
    pub(super) fn hashes<'n>(&self, needs: &'n [(String, usize)]) -> Vec<(&'n str, ContentHash)> {
        needs.iter().map(|(name, place)| (name.as_str(), self.libraries[*place].copy.hash)).collect()
    }

    /// The names of the copies, by those that are needed.
    pub(super) fn names<'n>(&'n self, needs: &'n [(String, usize)]) -> HashMap<&'n str, &'n str> {
        needs.iter().map(|(name, place)| (name.as_str(), self.libraries[*place].copy.name.as_str())).collect()
    }

    /// Makes the copy `to` of `library`, which was copied to `from`, in which these have the names of their copies.
    pub(super) fn link(&self, library: &Path, from: &Path, to: PathBuf) -> Result<OwnedFile, StageError> {
        renamed(library, from, to, &Renames { own: None, needed: self.names(&self.needs) })
    }

    /// What is opened before the library.
    pub(super) fn paths(&self) -> Vec<NeededPath> {
        let mut paths: Vec<NeededPath> = Vec::new();
        for NeededLibrary { copy, .. } in &self.libraries {
            if paths.iter().all(|path| path.name != copy.name) {
                paths.push(NeededPath { name: copy.name.clone(), path: copy.file.path().to_owned() });
            }
        }
        paths
    }

    /// Where was looked for them, for people.
    pub(super) fn searched(&self) -> &[String] {
        &self.searched
    }

    /// What they are copies of. One with several names comes with each.
    pub(super) fn files(&self) -> Vec<NeededFile> {
        let all = self.libraries.iter().flat_map(|library| &library.needs).chain(&self.needs);
        let mut files: Vec<NeededFile> = Vec::new();
        for (name, place) in all {
            let NeededLibrary { copy, original, .. } = &self.libraries[*place];
            if files.iter().all(|file| file.name != *name) {
                let (path, hash) = (original.path.clone(), original.hash);
                files.push(NeededFile { name: name.clone(), path, size: copy.size, hash });
            }
        }
        files
    }

    /// Whether every later write to the originals shows in their fingerprints.
    pub(super) fn is_settled(&self) -> bool {
        self.libraries.iter().all(|library| library.original.settled)
    }

    /// Whether these are still what `library` needs, and both they and the copies are what they were. In doubt they are not.
    pub(super) fn is_current(&self, library: &Path) -> bool {
        let found = regular_file::open(library).ok().and_then(|file| find(library, &file).ok());
        found.is_some_and(|found| {
            found.libraries.len() == self.libraries.len()
                && found.libraries.iter().zip(&self.libraries).all(|(found, copied)| {
                    found.path == copied.original.path
                        && copied.original.is_current()
                        && copied.copy.is_untouched()
                })
        })
    }

    /// Reads the copies.
    ///
    /// # Errors
    /// One is not what it was when it was made.
    pub(super) fn verify(&self) -> Result<(), StageError> {
        for NeededLibrary { copy, .. } in &self.libraries {
            let path = copy.file.path();
            let found = ContentHash::of_file(path)
                .map_err(|reason| StageError::Read { path: path.to_owned(), reason })?;
            if found != copy.own_hash {
                return Err(StageError::Damaged { path: path.to_owned(), expected: copy.own_hash, found });
            }
        }
        Ok(())
    }
}

/// Makes a copy of `library`, which was copied to `from`, with other names, for reading only.
pub(super) fn renamed(
    library: &Path,
    from: &Path,
    to: PathBuf,
    renames: &Renames<'_>,
) -> Result<OwnedFile, StageError> {
    let unwritable = |reason| StageError::Write { path: to.clone(), reason };
    let original = File::open(from).map_err(|reason| StageError::Read { path: from.to_owned(), reason })?;
    // Never over a file that is there: it might be mapped.
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o400).open(&to);
    let file = file.map_err(unwritable)?;
    let owned = OwnedFile::new(to.clone());
    match write_renamed(&original, &file, renames) {
        Ok(()) => Ok(owned),
        Err(RenameError::Io(reason)) => Err(unwritable(reason)),
        Err(RenameError::Layout(reason)) => {
            Err(NeededError::Rename { path: library.to_owned(), reason }.into())
        }
    }
}
