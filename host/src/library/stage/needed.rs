//! Copies of the shared libraries that lie beside libraries: one for each content, for all apps and generations.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::copy::{self, Copied, OwnedFile};
use super::error::StageError;
use super::folder::ProcessFolder;
use crate::fs::regular_file;
use crate::library::content_hash::ContentHash;
use crate::library::needed::{
    Found, FoundLibrary, NeededError, RenameError, Renames, combined_hash, find, write_renamed,
};
use crate::library::open_paths::NeededPath;
use crate::watch::Fingerprint;

/// How many hexadecimal digits of its hash the name of a copy has.
const DIGITS: usize = 32;

/// The shared libraries that a library needs, and that lay beside it when it was copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Needed {
    /// Each behind those that it needs.
    libraries: Vec<NeededLibrary>,
    /// Which of them the library needs itself: the name, and the place in `libraries`.
    needs: Vec<(String, usize)>,
    searched: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug)]
struct NeededLibrary {
    copy: Arc<NeededCopy>,
    original: Original,
    /// As in [`Needed`].
    needs: Vec<(String, usize)>,
}

/// A file that was copied.
#[derive(Clone, Debug)]
struct Original {
    path: PathBuf,
    hash: ContentHash,
    fingerprint: Fingerprint,
    /// Whether every later write to it shows in the fingerprint.
    settled: bool,
}

impl Original {
    fn is_current(&self) -> bool {
        self.settled && copy::is_still(&self.path, &self.fingerprint)
    }
}

/// The copy of a shared library, in which it has another name. Its file is there for as long as a copy of a library, or one
/// that is kept for a rollback, holds it.
#[derive(Debug)]
struct NeededCopy {
    file: OwnedFile,
    /// The name by which the copies of what needs it refer to it.
    name: String,
    /// That of the original, with what it needs.
    hash: ContentHash,
    size: u64,
    /// Those of the copy.
    own_hash: ContentHash,
    own_fingerprint: Fingerprint,
    _folder: Arc<ProcessFolder>,
}

impl NeededCopy {
    fn is_untouched(&self) -> bool {
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

    fn hashes<'n>(&self, needs: &'n [(String, usize)]) -> Vec<(&'n str, ContentHash)> {
        needs.iter().map(|(name, place)| (name.as_str(), self.libraries[*place].copy.hash)).collect()
    }

    fn names<'n>(&'n self, needs: &'n [(String, usize)]) -> HashMap<&'n str, &'n str> {
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

/// The copies that there are.
#[derive(Debug, Default)]
pub(super) struct NeededStore {
    /// No file is touched while this is locked.
    copies: Mutex<Vec<(Original, Weak<NeededCopy>)>>,
    /// Counts the files, so that each has a unique name.
    count: AtomicU64,
}

impl NeededStore {
    fn copies(&self) -> MutexGuard<'_, Vec<(Original, Weak<NeededCopy>)>> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what was found beside a library, of at most `limit` bytes each.
    pub(super) fn stage(
        &self,
        folder: &Arc<ProcessFolder>,
        found: Found,
        limit: u64,
    ) -> Result<Needed, StageError> {
        let mut needed = Needed { needs: found.needs, searched: found.searched, ..Needed::default() };
        for library in found.libraries {
            let (copy, original) = match self.known(&library, &needed, limit) {
                Some(known) => known,
                None => self.copy(folder, &library, &needed, limit)?,
            };
            needed.libraries.push(NeededLibrary { copy, original, needs: library.needs });
        }
        Ok(needed)
    }

    /// The copy of a file that has not changed since, nor has what it needs.
    fn known(
        &self,
        library: &FoundLibrary,
        needed: &Needed,
        limit: u64,
    ) -> Option<(Arc<NeededCopy>, Original)> {
        let hashes = needed.hashes(&library.needs);
        let known: Vec<_> = self
            .copies()
            .iter()
            .filter(|(original, _)| original.path == library.path)
            .filter_map(|(original, copy)| Some((copy.upgrade()?, original.clone())))
            .collect();
        known.into_iter().find(|(copy, original)| {
            copy.size <= limit
                && copy.hash == combined_hash(original.hash, &hashes)
                && original.is_current()
                && copy.is_untouched()
        })
    }

    fn copy(
        &self,
        folder: &Arc<ProcessFolder>,
        library: &FoundLibrary,
        needed: &Needed,
        limit: u64,
    ) -> Result<(Arc<NeededCopy>, Original), StageError> {
        let place = folder.path().join("needed");
        match DirBuilder::new().mode(0o700).create(&place) {
            Err(reason) if reason.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StageError::Folder { path: place, reason });
            }
            _ => {}
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let (file, copied) = copy::library(&library.path, place.join(format!("{number}.original")), limit)?;
        let Copied { hash: own, size, fingerprint, settled, .. } = copied;
        let original = Original { path: library.path.clone(), hash: own, fingerprint, settled };
        let hash = combined_hash(own, &needed.hashes(&library.needs));
        let same = |copies: &[(Original, Weak<NeededCopy>)]| {
            let mut copies = copies.iter().filter_map(|(_, copy)| copy.upgrade());
            copies.find(|copy| copy.hash == hash)
        };
        let known = same(&self.copies()).filter(|copy| copy.is_untouched());
        let copy = match known {
            Some(copy) => copy,
            None => {
                let name = format!("{}-{:.DIGITS$}", library.name, hash.to_string());
                let renames = Renames { own: Some(&name), needed: needed.names(&library.needs) };
                let to = place.join(format!("{number}-{}", library.name));
                let file = renamed(&library.path, file.path(), to, &renames)?;
                let unreadable = |reason| StageError::Read { path: file.path().to_owned(), reason };
                let own_hash = ContentHash::of_file(file.path()).map_err(unreadable)?;
                let own_fingerprint = Fingerprint::read(file.path()).map_err(unreadable)?;
                let _folder = folder.clone();
                Arc::new(NeededCopy { file, name, hash, size, own_hash, own_fingerprint, _folder })
            }
        };
        let mut copies = self.copies();
        // What was copied before from this path may be loaded again.
        copies.retain(|(known, copy)| {
            copy.strong_count() > 0 && (known.path != original.path || known.hash != original.hash)
        });
        copies.push((original.clone(), Arc::downgrade(&copy)));
        Ok((copy, original))
    }
}

/// Makes a copy of `library`, which was copied to `from`, with other names, for reading only.
fn renamed(library: &Path, from: &Path, to: PathBuf, renames: &Renames<'_>) -> Result<OwnedFile, StageError> {
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
