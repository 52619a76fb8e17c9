//! The last good libraries of each app, for going back to them.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::contents::Contents;
use super::copy::OwnedFile;
use super::error::StageError;
use super::folder::ProcessFolder;
use super::staged::Staged;

/// A library that is kept for going back to it. Its file is there for as long as it is kept or a clone of
/// this is held.
#[derive(Clone, Debug)]
pub struct Kept {
    file: Arc<KeptFile>,
    generation: u64,
    contents: Contents,
    since: SystemTime,
}

#[derive(Debug)]
struct KeptFile {
    file: OwnedFile,
    _folder: Arc<ProcessFolder>,
}

impl Deref for Kept {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
}

impl Kept {
    /// Where it is kept. To load it, [restage](super::Staging::restage) it.
    pub fn path(&self) -> &Path {
        self.file.file.path()
    }

    /// The generation that it was, when it was last kept.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it was last kept.
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

/// The copy that a library is kept of.
#[derive(Clone, Debug)]
pub(crate) struct Original {
    app: String,
    path: PathBuf,
    contents: Contents,
}

impl Original {
    pub(crate) fn new(staged: &Staged) -> Self {
        Self {
            app: staged.app().to_owned(),
            path: staged.original_path().to_owned(),
            contents: Contents::clone(staged),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Store {
    /// By app. No file is touched while this is locked.
    apps: Mutex<HashMap<String, State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest first.
    kept: VecDeque<Kept>,
    /// Counts the kept libraries, so that each has a unique file name: a forgotten one may still be in use.
    count: u64,
    /// How many apps of this name there are: a stopping one and a newer one may exist at the same time.
    registered: usize,
}

impl Store {
    fn apps(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn list(&self, app: &str) -> Vec<Kept> {
        self.apps().get(app).map(|state| state.kept.iter().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn register(&self, app: &str) {
        self.apps().entry(app.to_owned()).or_default().registered += 1;
    }

    pub(super) fn forget(&self, app: &str) {
        let mut apps = self.apps();
        let Some(state) = apps.get_mut(app) else { return };
        state.registered = state.registered.saturating_sub(1);
        let forgotten = if state.registered == 0 { std::mem::take(&mut state.kept) } else { VecDeque::new() };
        drop(apps);
        drop(forgotten);
    }

    pub(super) fn keep(
        &self,
        folder: &Arc<ProcessFolder>,
        original: &Original,
        generation: u64,
        count: usize,
    ) -> Result<(), StageError> {
        let hash = original.contents.hash;
        let same = self.list(&original.app).into_iter().find(|kept| kept.hash() == hash);
        let kept = match same {
            _ if count == 0 => None,
            // An app that starts again and again does not wait for a new name of the same file each time.
            Some(kept) if kept.path().exists() => Some(kept.file),
            _ => {
                let number = {
                    let mut apps = self.apps();
                    let state = apps.entry(original.app.clone()).or_default();
                    state.count += 1;
                    state.count
                };
                let name = format!("{}-{number}-{}.so", original.app, hash.short());
                let file = link(&original.path, folder.path().join("kept"), &name)?;
                Some(Arc::new(KeptFile { file, _folder: folder.clone() }))
            }
        };
        let mut apps = self.apps();
        let state = apps.entry(original.app.clone()).or_default();
        let mut dropped = VecDeque::new();
        if let Some(file) = kept {
            if let Some(same) = state.kept.iter().position(|kept| kept.hash() == hash) {
                dropped.extend(state.kept.remove(same));
            }
            state.kept.push_front(Kept {
                file,
                generation,
                contents: original.contents.clone(),
                since: SystemTime::now(),
            });
        }
        dropped.extend(state.kept.split_off(count.min(state.kept.len())));
        drop(apps);
        drop(dropped);
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
    use crate::library::stage::Staging;
    use crate::watch::write_and_release;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn setup() -> (tempfile::TempDir, Staging) {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::within(folder.path()).unwrap();
        (folder, staging)
    }

    fn stage(folder: &tempfile::TempDir, staging: &Staging, text: &str) -> Staged {
        let library = folder.path().join("libhello.so");
        write_and_release(&library, text);
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
    fn an_app_that_is_gone_leaves_nothing() {
        let (folder, staging) = setup();
        let kept = || fs::read_dir(staging.folder().join("kept")).unwrap().count();
        staging.register("hello");
        staging.keep(&stage(&folder, &staging, "a"), 1, 3).unwrap();
        // Another one with its name comes before it is gone.
        staging.register("hello");
        staging.forget("hello");
        assert_eq!((generations(&staging), kept()), (vec![1], 1));
        staging.forget("hello");
        assert_eq!((generations(&staging), kept()), (vec![], 0));
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
