//! The copies of shared libraries: one for each content, for all apps and generations.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::copy::{self, Copied};
use super::error::StageError;
use super::folder::ProcessFolder;
use super::needed::{Needed, NeededCopy, NeededLibrary, Original, renamed};
use crate::library::content_hash::ContentHash;
use crate::library::needed::{Found, FoundLibrary, Renames, combined_hash};
use crate::watch::Fingerprint;

/// How many hexadecimal digits of its hash the name of a copy has.
const DIGITS: usize = 32;

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
