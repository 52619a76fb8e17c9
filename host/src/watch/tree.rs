//! Watched sources: all their files, compared with what they were before.
//!
//! Any sign of a change leads to a fresh listing of everything, which costs a few microseconds per file
//! and cannot miss anything: not a folder that was filled before its watch began, nor lost notifications.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use ignore::{DirEntry, WalkBuilder};
use tokio::sync::Notify;

use super::chain::{Place, places};
use super::change::TreeChange;
use super::fingerprint::Fingerprint;
use super::pace::{MOST_LOOKS, Pace};

/// Files to be watched together: what something is built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchSet {
    /// Files, which need not exist yet, and folders, with all files below them.
    pub named: BTreeSet<PathBuf>,
    /// Folders of sources: files below them, without those that git ignores, logs and databases.
    pub folders: BTreeSet<PathBuf>,
}

impl WatchSet {
    /// Whether a path is in it, were there such a file.
    fn covers(&self, path: &Path) -> bool {
        path.ancestors().any(|it| self.named.contains(it) || self.folders.contains(it))
    }
}

/// All files of a set, as they were when they were listed.
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

/// Watched sources.
pub(super) struct WatchedTree {
    set: WatchSet,
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
    pub(super) fn new(set: WatchSet, files: Listing, outbox: Arc<Outbox>) -> Self {
        // Due at once: something may have changed between the first listing and the watches.
        WatchedTree { set, files, pending: None, next_poll: Instant::now(), outbox }
    }

    /// Watches another set from now on. What was in the former one is compared with what it was then. A file that was
    /// not is reported if it has changed since this moment.
    pub(super) fn change_set(&mut self, set: WatchSet, since: SystemTime) {
        let mut before = std::mem::take(&mut self.files);
        for (path, now) in list(&set, &mut Vec::new()) {
            match before.remove(&path) {
                Some(known) => drop(self.files.insert(path, known)),
                None if now.may_have_changed_since(since) => {}
                None => drop(self.files.insert(path, now)),
            }
        }
        // Those that are gone are reported; those that are not in the set any more are forgotten.
        self.files.extend(before.into_iter().filter(|(path, _)| set.covers(path) && !path.exists()));
        self.set = set;
        self.next_poll = Instant::now();
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

    /// Lists the files and sends what has changed. `watch` gets the folders and returns whether all of them were
    /// watched already. `false`: it was not, in the end.
    pub(super) fn look(&mut self, pace: &Pace, mut watch: impl FnMut(Vec<Place>) -> bool) -> bool {
        let started = Instant::now();
        let noticed = self.pending.take().map_or(started, |pending| pending.noticed);
        let mut files = Listing::new();
        let settled = (0..MOST_LOOKS).any(|_| {
            let mut places = Vec::new();
            files = list(&self.set, &mut places);
            watch(places)
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
        // Looking regularly may take 2 % of one core at most, however many files there are.
        self.next_poll = Instant::now() + pace.poll.max(started.elapsed() * 50);
        settled
    }
}

/// Lists all files of a set, and adds the places that decide what they are to `watched`.
pub(super) fn list(set: &WatchSet, watched: &mut Vec<Place>) -> Listing {
    let mut files = Listing::new();
    for path in &set.named {
        watched.extend(places(path));
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => list_folder(path, false, &mut files, watched),
            Ok(metadata) => drop(files.insert(path.clone(), Fingerprint::from(&metadata))),
            Err(_) => {}
        }
    }
    for folder in &set.folders {
        watched.extend(places(folder));
        list_folder(folder, true, &mut files, watched);
    }
    files
}

/// Lists the files below a folder, also through links, and adds the folders that they are in to `watched`.
fn list_folder(root: &Path, only_sources: bool, files: &mut Listing, watched: &mut Vec<Place>) {
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .parents(only_sources)
        .git_ignore(only_sources)
        .git_exclude(only_sources)
        .git_global(only_sources)
        // A folder need not be in a repository yet.
        .require_git(false)
        .follow_links(true)
        .filter_entry(|entry| entry.depth() == 0 || !is_left_out(entry))
        .build();
    for entry in walk.flatten() {
        if entry.file_type().is_some_and(|kind| kind.is_dir()) {
            // Where the folder really is, as the kernel's notifications have it.
            if let Ok(folder) = entry.path().canonicalize() {
                watched.push(Place { folder, name: None });
            }
        } else if (!only_sources || is_source(entry.path()))
            && let Ok(metadata) = fs::metadata(entry.path())
            && metadata.is_file()
        {
            files.insert(entry.into_path(), Fingerprint::from(&metadata));
        }
    }
}

/// What is no source, wherever it is.
fn is_left_out(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    if entry.file_type().is_some_and(|kind| kind.is_dir()) {
        is_ignored_folder(name, entry.path())
    } else {
        is_editors(name)
    }
}

/// Whether something can be made from a file: not from logs and databases, which an app may write while it runs.
fn is_source(path: &Path) -> bool {
    const OTHERS: [&str; 10] = [
        "log",
        "tmp",
        "db",
        "db-wal",
        "db-shm",
        "db-journal",
        "sqlite",
        "sqlite3",
        "sqlite-wal",
        "sqlite-shm",
    ];
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_none_or(|extension| !OTHERS.contains(&extension))
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
        let files = list(&sources(root), &mut Vec::new());
        assert_eq!(
            files.into_keys().collect::<Vec<_>>(),
            [root.join("Cargo.toml"), root.join("src/target/mod.rs")]
        );
    }

    fn sources(root: &Path) -> WatchSet {
        WatchSet { folders: [root.to_owned()].into(), ..WatchSet::default() }
    }

    #[test]
    fn what_git_ignores_and_what_an_app_writes_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for sub in ["app/src", "app/uploads", "real"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        fs::write(root.join(".gitignore"), "uploads/\n*.bin\n").unwrap();
        for file in
            ["app/a.log", "app/data.sqlite-wal", "app/x.bin", "app/uploads/1", "app/LICENSE", "app/.env"]
        {
            fs::write(root.join(file), "").unwrap();
        }
        fs::write(root.join("real/page.html"), "").unwrap();
        std::os::unix::fs::symlink("../real", root.join("app/linked")).unwrap();
        std::os::unix::fs::symlink("..", root.join("app/src/circle")).unwrap();
        let app = root.join("app");
        let names = |set: &WatchSet| {
            let files = list(set, &mut Vec::new());
            files.into_keys().map(|path| path.strip_prefix(&app).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&sources(&app)), [".env", "LICENSE", "linked/page.html"].map(PathBuf::from));
        // What is named counts, whatever it is.
        let named = ["uploads", "x.bin", "none"].map(|name| app.join(name));
        let named = WatchSet { named: named.into(), ..WatchSet::default() };
        assert_eq!(names(&named), ["uploads/1", "x.bin"].map(PathBuf::from));
    }

    #[test]
    fn another_set_keeps_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["kept", "dropped", "gone", "old", "new"] {
            fs::write(path(name), "").unwrap();
        }
        let set = |names: &[&str]| WatchSet {
            named: names.iter().map(|name| path(name)).collect(),
            ..WatchSet::default()
        };
        let first = set(&["kept", "dropped", "gone"]);
        let files = list(&first, &mut Vec::new());
        let mut tree = WatchedTree::new(first, files, Arc::default());
        fs::write(path("kept"), "changed").unwrap();
        fs::write(path("dropped"), "changed").unwrap();
        fs::remove_file(path("gone")).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        tree.change_set(set(&["kept", "gone", "old"]), later);
        tree.look(&Pace::default(), |_| true);
        let changed = |tree: &WatchedTree| {
            let (paths, _) = tree.outbox.batch.lock().unwrap().take().unwrap();
            paths.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(changed(&tree), [path("gone"), path("kept")]);
        tree.change_set(set(&["kept", "new"]), SystemTime::UNIX_EPOCH);
        tree.look(&Pace::default(), |_| true);
        assert_eq!(changed(&tree), [path("new")]);
    }
}
