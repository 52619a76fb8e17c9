//! One watched source folder: all its files, compared with what they were before.
//!
//! Any sign of a change leads to a fresh listing of the whole tree, which costs a few microseconds per file
//! and cannot miss anything: not a folder that was filled before its watch began, nor lost notifications.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::TreeChange;
use super::chain::{Place, places};
use super::fingerprint::Fingerprint;
use super::pace::Pace;
use super::service::MOST_LOOKS;

/// Says which files of a tree matter.
pub(super) type Filter = Box<dyn Fn(&Path) -> bool + Send>;

/// All files of a tree that matter, as they were when they were listed.
pub(super) type Listing = BTreeMap<PathBuf, Fingerprint>;

/// Batches on their way to the owner of a watch: what it has not taken yet is one batch.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    batch: Mutex<Option<(BTreeSet<PathBuf>, Instant)>>,
    filled: Notify,
}

impl Outbox {
    fn put(&self, paths: BTreeSet<PathBuf>, noticed: Instant) {
        self.batch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| (BTreeSet::new(), noticed))
            .0
            .extend(paths);
        self.filled.notify_one();
    }

    pub(super) async fn take(&self) -> TreeChange {
        loop {
            let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((paths, noticed)) = batch {
                return TreeChange { paths: paths.into_iter().collect(), noticed };
            }
            self.filled.notified().await;
        }
    }
}

/// One watched source folder.
pub(super) struct WatchedTree {
    pub(super) root: PathBuf,
    filter: Filter,
    files: Listing,
    pending: Option<Pending>,
    next_poll: Instant,
    outbox: Arc<Outbox>,
}

/// A sign of a change that was not followed up yet.
struct Pending {
    noticed: Instant,
    due: Instant,
}

impl WatchedTree {
    pub(super) fn new(root: PathBuf, filter: Filter, files: Listing, outbox: Arc<Outbox>) -> Self {
        // Due at once: something may have changed between the first listing and the watches.
        WatchedTree { root, filter, files, pending: None, next_poll: Instant::now(), outbox }
    }

    /// When to list the files next.
    pub(super) fn due(&self) -> Instant {
        self.pending.as_ref().map_or(self.next_poll, |pending| pending.due.min(self.next_poll))
    }

    /// Takes note of a sign that something has changed.
    pub(super) fn touch(&mut self, at: Instant, pace: &Pace) {
        let pending = self.pending.get_or_insert(Pending { noticed: at, due: at });
        pending.due = (at + pace.batch).min(pending.noticed + pace.batch_limit);
    }

    /// Lists the files and sends what has changed. `watch` is told which folders there are, and says whether
    /// that is settled, as they are all watched already. `false`: it was not, in the end.
    pub(super) fn look(&mut self, pace: &Pace, mut watch: impl FnMut(Vec<Place>) -> bool) -> bool {
        let started = Instant::now();
        let noticed = self.pending.take().map_or(started, |pending| pending.noticed);
        let mut files = Listing::new();
        let settled = (0..MOST_LOOKS).any(|_| {
            let mut folders = places(&self.root);
            files = list(&self.root, &self.filter, &mut folders);
            watch(folders)
        });
        let mut changed = BTreeSet::new();
        for (path, now) in &files {
            if self.files.get(path).is_none_or(|before| now.differs_from(before)) {
                changed.insert(path.clone());
            }
        }
        changed.extend(self.files.keys().filter(|path| !files.contains_key(*path)).cloned());
        self.files = files;
        if !changed.is_empty() {
            self.outbox.put(changed, noticed);
        }
        // Looking regularly may take 2 % of one core at most, however big the tree.
        self.next_poll = Instant::now() + pace.poll.max(started.elapsed() * 50);
        settled
    }
}

/// Lists all files below `root` that matter, and adds the folders that they are in to `folders`.
pub(super) fn list(root: &Path, filter: &Filter, folders: &mut Vec<Place>) -> Listing {
    let mut files = Listing::new();
    // Where the folder really is, as the kernel's notifications have it, and what it is called in reports.
    let mut todo = match fs::canonicalize(root) {
        Ok(real) => vec![(real, root.to_owned())],
        Err(_) => return files,
    };
    while let Some((real, named)) = todo.pop() {
        let Ok(entries) = fs::read_dir(&real) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if !is_ignored_folder(&name, &entry.path()) {
                    todo.push((entry.path(), named.join(&name)));
                }
                continue;
            }
            let path = named.join(&name);
            if is_editors(&name) || !filter(&path) {
                continue;
            }
            if let Ok(metadata) = fs::metadata(entry.path())
                && metadata.is_file()
            {
                files.insert(path, Fingerprint::from(&metadata));
            }
        }
        folders.push(Place { folder: real, name: None });
    }
    files
}

/// Folders of version control, of editors, and of builds. A module may be called `target`, so the name
/// alone is not enough for that one.
fn is_ignored_folder(name: &OsStr, path: &Path) -> bool {
    const IGNORED: [&str; 7] = [".git", ".hg", ".jj", ".svn", ".idea", ".vscode", "node_modules"];
    IGNORED.iter().any(|ignored| name == *ignored)
        || (name == "target" && path.with_file_name("Cargo.toml").exists())
        || path.join("CACHEDIR.TAG").exists()
}

/// Files that editors put next to the one being edited: backups, swap files, locks, and `4913`, with which
/// vim tries whether it may write.
fn is_editors(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_swap = |end: &str| name.starts_with('.') && name.ends_with(end);
    name.ends_with('~')
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || [".swp", ".swo", ".swx", ".kate-swp"].into_iter().any(is_swap)
        || name.ends_with("___jb_tmp___")
        || name.ends_with("___jb_old___")
        || name.starts_with(".goutputstream-")
        || name == "4913"
        || name == ".DS_Store"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_editors_leave_about() {
        for name in ["lib.rs~", ".lib.rs.swp", ".#lib.rs", "#lib.rs#", "4913", "lib.rs___jb_tmp___"] {
            assert!(is_editors(OsStr::new(name)), "{name}");
        }
        for name in ["lib.rs", ".env", "swp", "main.swp", "#1.md", "Cargo.toml"] {
            assert!(!is_editors(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn lists_what_matters_and_leaves_out_builds() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for sub in ["src/target", "target/debug", ".git", "cache"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        for file in
            ["Cargo.toml", "src/target/mod.rs", "target/debug/a.rs", ".git/a.rs", "cache/a.rs", "src/a.rs~"]
        {
            fs::write(root.join(file), "").unwrap();
        }
        fs::write(root.join("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
        let mut folders = Vec::new();
        let files = list(root, &(Box::new(|_: &Path| true) as Filter), &mut folders);
        assert_eq!(
            files.into_keys().collect::<Vec<_>>(),
            [root.join("Cargo.toml"), root.join("src/target/mod.rs")]
        );
        assert_eq!(folders.len(), 3);
    }
}
