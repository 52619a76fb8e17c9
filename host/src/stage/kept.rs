//! The last good libraries of each app, for going back to them.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::copy::OwnedFile;
use super::folder::ProcessFolder;
use super::{ContentHash, StageError, Staged};
use crate::watch::Fingerprint;

/// A library that is kept for going back to it. Its file is there for as long as it is kept or a clone of
/// this is held.
#[derive(Clone, Debug)]
pub struct Kept {
    file: Arc<KeptFile>,
    generation: u64,
    hash: ContentHash,
    size: u64,
    source: PathBuf,
    fingerprint: Fingerprint,
    since: SystemTime,
}

#[derive(Debug)]
struct KeptFile {
    file: OwnedFile,
    _folder: Arc<ProcessFolder>,
}

impl Kept {
    /// Where it is kept. To load it, [restage](crate::Staging::restage) it.
    pub fn path(&self) -> &Path {
        self.file.file.path()
    }

    /// The generation that it was, when it was last kept.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The hash of its contents.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The library that it was a copy of.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// What that library was then.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// When it was last kept.
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    /// By app, the newest first.
    apps: Mutex<HashMap<String, State>>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Kept>,
    /// Counts what was ever kept, so that each has a file name of its own: one that was forgotten may still
    /// be held by somebody.
    count: u64,
}

impl Store {
    pub(super) fn of(&self, app: &str) -> Vec<Kept> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(app).map(|state| state.kept.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn keep(
        &self,
        folder: &Arc<ProcessFolder>,
        staged: &Staged,
        generation: u64,
        count: usize,
    ) -> Result<(), StageError> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let state = apps.entry(staged.app().to_owned()).or_default();
        if count > 0 {
            let same = state.kept.iter().position(|kept| kept.hash() == staged.hash());
            let file = match same.and_then(|same| state.kept.remove(same)) {
                // An app that starts again and again does not wait for a new name of the same file each time.
                Some(kept) if kept.path().exists() => kept.file,
                _ => {
                    state.count += 1;
                    let name = format!("{}-{}-{}.so", staged.app(), state.count, staged.hash().short());
                    let file = link(staged.path(), folder.path().join("kept"), &name)?;
                    Arc::new(KeptFile { file, _folder: folder.clone() })
                }
            };
            state.kept.push_front(Kept {
                file,
                generation,
                hash: staged.hash(),
                size: staged.size(),
                source: staged.source().to_owned(),
                fingerprint: staged.fingerprint(),
                since: SystemTime::now(),
            });
        }
        state.kept.truncate(count);
        Ok(())
    }
}

/// Gives the staged copy a second name. It is never loaded under that one: restaging makes a new copy.
fn link(staged: &Path, folder: PathBuf, name: &str) -> Result<OwnedFile, StageError> {
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(reason) if reason.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StageError::Folder { path: folder, reason });
        }
        _ => {}
    }
    let path = folder.join(name);
    fs::hard_link(staged, &path)
        // Some file systems have no hard links.
        .or_else(|_| fs::copy(staged, &path).map(drop))
        .map_err(|reason| StageError::Write { path: path.clone(), reason })?;
    Ok(OwnedFile::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Staging;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn setup() -> (tempfile::TempDir, Staging) {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::within(folder.path()).unwrap();
        (folder, staging)
    }

    fn stage(folder: &tempfile::TempDir, staging: &Staging, text: &str) -> Staged {
        let library = folder.path().join("libhello.so");
        fs::write(&library, text).unwrap();
        staging.stage("hello", &library).unwrap()
    }

    fn generations(staging: &Staging) -> Vec<u64> {
        staging.kept("hello").iter().map(Kept::generation).collect()
    }

    #[test]
    fn the_newest_are_kept_and_the_others_deleted() {
        let (folder, staging) = setup();
        for generation in 1..=4 {
            let staged = stage(&folder, &staging, &format!("text {generation}"));
            staging.keep(&staged, generation, 2).unwrap();
        }
        assert_eq!(generations(&staging), [4, 3]);
        assert_eq!(fs::read_dir(staging.folder().join("kept")).unwrap().count(), 2);
        assert!(staging.kept("other").is_empty());
    }

    #[test]
    fn the_same_contents_are_kept_once_and_become_the_newest() {
        let (folder, staging) = setup();
        for (generation, text) in [(1, "a"), (2, "b"), (3, "a")] {
            staging.keep(&stage(&folder, &staging, text), generation, 5).unwrap();
        }
        assert_eq!(generations(&staging), [3, 2]);
    }

    #[test]
    fn what_is_kept_already_gets_a_new_file_only_if_its_own_is_gone() {
        let (folder, staging) = setup();
        let staged = stage(&folder, &staging, "a");
        let keep = |generation| {
            staging.keep(&staged, generation, 3).unwrap();
            staging.kept("hello").remove(0)
        };
        let path = keep(1).path().to_owned();
        assert_eq!(keep(2).path(), path);
        fs::remove_file(&path).unwrap();
        let again = keep(3);
        assert!(again.path() != path && again.path().exists());
        assert_eq!(generations(&staging), [3]);
    }

    #[test]
    fn what_is_held_is_not_deleted() {
        let (folder, staging) = setup();
        staging.keep(&stage(&folder, &staging, "a"), 1, 1).unwrap();
        let held = staging.kept("hello").remove(0);
        staging.keep(&stage(&folder, &staging, "b"), 2, 1).unwrap();
        assert_eq!(generations(&staging), [2]);
        assert_eq!(staging.restage("hello", &held).unwrap().size(), 1);
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn going_back_makes_a_new_file_that_remembers_its_source() {
        let (folder, staging) = setup();
        let first = stage(&folder, &staging, "a");
        staging.keep(&first, 1, 3).unwrap();
        let kept = staging.kept("hello").remove(0);
        let again = staging.restage("hello", &kept).unwrap();
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(kept.path()), inode(first.path()));
        assert_ne!(inode(again.path()), inode(first.path()));
        assert_eq!((again.hash(), again.source()), (first.hash(), first.source()));
        assert_eq!(again.fingerprint(), first.fingerprint());
        assert!(!again.is_current(again.source()), "it is a copy of what the source was, not of what it is");
    }

    #[test]
    fn a_damaged_library_is_refused() {
        let (folder, staging) = setup();
        staging.keep(&stage(&folder, &staging, "a"), 1, 3).unwrap();
        let kept = staging.kept("hello").remove(0);
        fs::set_permissions(kept.path(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(kept.path(), "x").unwrap();
        assert!(matches!(staging.restage("hello", &kept), Err(StageError::Damaged { .. })));
    }
}
