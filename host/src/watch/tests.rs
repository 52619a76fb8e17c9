use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// Nothing but notifications: a test that passes shows that they suffice.
fn events_only() -> Pace {
    Pace { poll: Duration::from_secs(3600), ..Pace::default() }
}

fn on_runtime(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(20);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        tokio::time::timeout(limit, test).await.expect("what the test waits for does not happen");
    });
}

struct Folder {
    _guard: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Folder {
        let guard = tempfile::tempdir().unwrap();
        let path = guard.path().canonicalize().unwrap();
        Folder { _guard: guard, path }
    }

    /// Puts a file in place by renaming, with a size that tells it from others.
    fn put(&self, name: &str, size: usize) -> PathBuf {
        let path = self.path.join(name);
        put(&path, size);
        path
    }
}

fn sources(folder: &Path) -> WatchSet {
    WatchSet { folders: [folder.to_owned()].into(), ..WatchSet::default() }
}

fn put(path: &Path, size: usize) {
    let temporary = path.with_extension("new");
    fs::write(&temporary, vec![1; size]).unwrap();
    fs::rename(&temporary, path).unwrap();
}

impl FileWatch {
    /// The size of the file in the next report; `None`: it is missing.
    async fn next(&mut self) -> Option<u64> {
        let change = self.changed().await;
        assert!(change.noticed <= change.complete);
        change.fingerprint.map(|fingerprint| fingerprint.size())
    }

    /// Expects a file of this size in the next report. That a change is reported only once shows when the
    /// next report is of the next change.
    async fn expect_next(&mut self, size: u64) {
        assert_eq!(self.next().await, Some(size));
    }
}

#[test]
fn a_rename_over_is_reported_once() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    on_runtime(async {
        for size in 2..20 {
            folder.put("lib.so", size);
            watch.expect_next(size as u64).await;
        }
    });
}

#[test]
fn a_copy_in_place_is_reported_once_and_whole() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    on_runtime(async {
        for size in [4_000_000, 1000, 2_000_000] {
            let original = folder.put("original", size);
            let to = path.clone();
            let copying = std::thread::spawn(move || fs::copy(original, to).unwrap());
            watch.expect_next(size as u64).await;
            copying.join().unwrap();
        }
    });
}

#[test]
fn a_slow_writer_is_waited_for() {
    static LOOKS: AtomicUsize = AtomicUsize::new(0);
    fn counting(file: &File) -> Writers {
        LOOKS.fetch_add(1, Ordering::SeqCst);
        writers(file)
    }
    static CLOSING: AtomicBool = AtomicBool::new(false);

    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let watcher = Watcher::with(Pace { writers: counting, ..events_only() }).unwrap();
    let mut watch = watcher.watch_file(&path);
    let to = path.clone();
    let writing = std::thread::spawn(move || {
        let mut file = OpenOptions::new().write(true).truncate(true).open(to).unwrap();
        for _ in 0..30 {
            file.write_all(&[2; 100]).unwrap();
            // The next chunk comes when the watcher has looked at this one, and was not content.
            let looks = LOOKS.load(Ordering::SeqCst);
            while LOOKS.load(Ordering::SeqCst) == looks {
                std::thread::yield_now();
            }
        }
        CLOSING.store(true, Ordering::SeqCst);
    });
    on_runtime(async {
        watch.expect_next(3000).await;
        assert!(CLOSING.load(Ordering::SeqCst), "reported while the file was open for writing");
        writing.join().unwrap();
        folder.put("lib.so", 5);
        watch.expect_next(5).await;
    });
}

#[test]
fn a_file_that_is_being_written_when_the_watch_begins_is_reported_when_it_is_complete() {
    let folder = Folder::new();
    let path = folder.path.join("lib.so");
    let mut writer = File::create(&path).unwrap();
    writer.write_all(&[1; 10]).unwrap();
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    drop(writer);
    on_runtime(async { watch.expect_next(10).await });
}

#[test]
fn links_that_are_swapped_are_noticed() {
    let folder = Folder::new();
    for (release, size) in [("1", 1), ("2", 2), ("3", 3)] {
        fs::create_dir_all(folder.path.join(release)).unwrap();
        folder.put(&format!("{release}/lib.so"), size);
    }
    let swap = |target: &str, link: &str| {
        let temporary = folder.path.join("link.new");
        symlink(target, &temporary).unwrap();
        fs::rename(temporary, folder.path.join(link)).unwrap();
    };
    swap("1", "current");
    swap("current/lib.so", "app.so");
    let watcher = Watcher::with(events_only()).unwrap();
    let mut watch = watcher.watch_file(folder.path.join("app.so"));
    on_runtime(async {
        swap("2", "current");
        watch.expect_next(2).await;
        swap("3/lib.so", "app.so");
        watch.expect_next(3).await;
        // The folder at the end of the new chain is watched now.
        folder.put("3/lib.so", 30);
        watch.expect_next(30).await;
        // A link that is removed and made again.
        fs::remove_file(folder.path.join("app.so")).unwrap();
        assert_eq!(watch.next().await, None);
        symlink("current/lib.so", folder.path.join("app.so")).unwrap();
        watch.expect_next(2).await;
    });
}

#[test]
fn a_file_that_goes_and_comes_back_is_reported_as_missing_and_present() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    on_runtime(async {
        fs::remove_file(&path).unwrap();
        assert_eq!(watch.next().await, None);
        fs::write(&path, "22").unwrap();
        watch.expect_next(2).await;
    });
}

#[test]
fn a_file_that_is_replaced_by_removing_it_first_is_one_change() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let pace = Pace { missing: Duration::from_secs(3600), ..events_only() };
    let mut watch = Watcher::with(pace).unwrap().watch_file(&path);
    on_runtime(async {
        for size in 2..10 {
            // As cargo does it.
            let built = folder.put("built.so", size);
            fs::remove_file(&path).unwrap();
            fs::hard_link(&built, &path).unwrap();
            watch.expect_next(size as u64).await;
            // And at the beginning of the next build. This is not to be reported.
            fs::remove_file(&built).unwrap();
        }
    });
}

#[test]
fn a_link_that_goes_is_not_reported_by_looking_either() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let other = folder.path.join("other.so");
    fs::hard_link(&path, &other).unwrap();
    let pace = Pace { events: false, poll: Duration::from_millis(1), ..Pace::default() };
    let watcher = Watcher::with(pace).unwrap();
    let mut watch = watcher.watch_file(&path);
    let sentinel = folder.put("sentinel", 1);
    let mut sentinel_watch = watcher.watch_file(&sentinel);
    on_runtime(async {
        fs::remove_file(&other).unwrap();
        // The service looks at all files at once, so when it has seen this, it has seen that, too.
        for size in 2..5 {
            put(&sentinel, size);
            sentinel_watch.expect_next(size as u64).await;
        }
        put(&path, 7);
        watch.expect_next(7).await;
    });
}

#[test]
fn folders_may_come_later_and_go_and_be_swapped() {
    let folder = Folder::new();
    let sub = folder.path.join("target/debug");
    let path = sub.join("lib.so");
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    on_runtime(async {
        for size in [1, 2, 3] {
            fs::create_dir_all(&sub).unwrap();
            put(&path, size);
            watch.expect_next(size as u64).await;
            fs::remove_dir_all(folder.path.join("target")).unwrap();
            assert_eq!(watch.next().await, None);
        }
        // Gone and back at once: there may be no notification of the second one.
        fs::create_dir_all(&sub).unwrap();
        put(&path, 4);
        watch.expect_next(4).await;
        fs::remove_dir_all(folder.path.join("target")).unwrap();
        fs::create_dir_all(&sub).unwrap();
        put(&path, 5);
        while watch.next().await != Some(5) {}
        // Moved away, with another in its place.
        fs::create_dir(folder.path.join("next")).unwrap();
        folder.put("next/lib.so", 6);
        fs::rename(&sub, folder.path.join("before")).unwrap();
        fs::rename(folder.path.join("next"), &sub).unwrap();
        while watch.next().await != Some(6) {}
        // What happens to the old one is of no interest, and the new one is watched.
        folder.put("before/lib.so", 8);
        put(&path, 9);
        watch.expect_next(9).await;
    });
}

#[test]
fn what_is_read_again_is_reported_as_it_is_and_what_is_missing_is_not() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 3);
    let watcher = Watcher::with(events_only()).unwrap();
    let mut watch = watcher.watch_file(&path);
    let mut missing = watcher.watch_file(folder.path.join("missing.so"));
    on_runtime(async {
        watcher.reread();
        watch.expect_next(3).await;
        folder.put("lib.so", 4);
        watch.expect_next(4).await;
        folder.put("missing.so", 5);
        missing.expect_next(5).await;
    });
}

#[test]
fn without_leases_a_file_is_reported_when_it_is_quiet() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let pace = Pace { writers: |_| Writers::Unknown, ..events_only() };
    let mut watch = Watcher::with(pace).unwrap().watch_file(&path);
    on_runtime(async {
        for size in [2, 3] {
            folder.put("lib.so", size);
            let change = watch.changed().await;
            assert_eq!(change.fingerprint.unwrap().size(), size as u64);
            assert!(change.complete - change.noticed >= pace.quiet);
        }
    });
}

#[test]
fn without_notifications_everything_is_found_by_looking() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let pace = Pace { events: false, poll: Duration::from_millis(5), ..Pace::default() };
    let watcher = Watcher::with(pace).unwrap();
    let mut watch = watcher.watch_file(&path);
    let mut tree = watcher.watch_set(sources(&folder.path));
    on_runtime(async {
        folder.put("lib.so", 2);
        watch.expect_next(2).await;
        while !tree.changed().await.paths.contains(&path) {}
        fs::remove_file(&path).unwrap();
        assert_eq!(watch.next().await, None);
    });
}

#[test]
fn of_many_changes_the_last_is_never_lost() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    let to = path.clone();
    let writing = std::thread::spawn(move || {
        for size in 2..=2000 {
            put(&to, size);
        }
    });
    on_runtime(async {
        let mut before = 1;
        while before != 2000 {
            let size = watch.next().await.expect("renaming leaves no gap");
            assert!(size > before, "{size} after {before}");
            before = size;
        }
        writing.join().unwrap();
    });
}

#[test]
fn many_files_are_watched_by_one_service() {
    let folder = Folder::new();
    let watcher = Watcher::with(events_only()).unwrap();
    let mut watches: Vec<_> = (0..50)
        .map(|number| {
            let path = folder.put(&format!("lib{number}.so"), 1);
            (watcher.watch_file(&path), path)
        })
        .collect();
    on_runtime(async {
        for (_, path) in &watches {
            put(path, 2);
        }
        for (watch, _) in &mut watches {
            watch.expect_next(2).await;
        }
    });
}

#[test]
fn a_folder_is_reported_when_entries_come_and_go() {
    let folder = Folder::new();
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&folder.path);
    on_runtime(async {
        let path = folder.put("lib.so", 1);
        assert!(watch.changed().await.is_present());
        fs::remove_file(path).unwrap();
        assert!(watch.changed().await.is_present());
    });
}

#[test]
fn dropping_a_watch_ends_it() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let watcher = Watcher::with(events_only()).unwrap();
    let watch = watcher.watch_file(&path);
    let mut reports = watch.reports.clone();
    drop(watch);
    on_runtime(async {
        assert!(reports.changed().await.is_err(), "the service lets go of it");
        // And of itself, with the last handle.
        let watch = watcher.watch_file(&path);
        let mut reports = watch.reports.clone();
        drop((watcher, watch));
        assert!(reports.changed().await.is_err());
    });
}

#[test]
fn waiting_can_be_cancelled() {
    let folder = Folder::new();
    let path = folder.put("lib.so", 1);
    let mut watch = Watcher::with(events_only()).unwrap().watch_file(&path);
    on_runtime(async {
        folder.put("lib.so", 2);
        // Begun and dropped again and again, whether or not the report is there yet.
        loop {
            if let Ok(size) = tokio::time::timeout(Duration::ZERO, watch.next()).await {
                break assert_eq!(size, Some(2));
            }
        }
    });
}

mod trees {
    use super::*;
    use std::collections::BTreeSet;

    /// A watch, and the files that it may report.
    struct Expecting {
        watch: TreeWatch,
        known: BTreeSet<PathBuf>,
    }

    impl Expecting {
        fn new(watch: TreeWatch) -> Expecting {
            Expecting { watch, known: BTreeSet::new() }
        }

        /// Waits until all of `expected` have been reported, in however many batches, and nothing else but
        /// what was expected before: a file that is written may be seen before and after.
        async fn expect(&mut self, expected: &[&Path]) {
            let mut missing: BTreeSet<_> = expected.iter().map(|path| path.to_path_buf()).collect();
            self.known.extend(missing.iter().cloned());
            while !missing.is_empty() {
                for path in self.watch.changed().await.paths {
                    assert!(self.known.contains(&path), "not expected: {}", path.display());
                    missing.remove(&path);
                }
            }
        }
    }

    #[test]
    fn changes_are_reported_in_batches() {
        let folder = Folder::new();
        let root = folder.path.as_path();
        for sub in ["src", "target/debug"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        let [manifest, lib, main] = ["Cargo.toml", "src/lib.rs", "src/main.rs"].map(|name| root.join(name));
        fs::write(&manifest, "").unwrap();
        fs::write(&lib, "").unwrap();
        let watcher = Watcher::with(events_only()).unwrap();
        let mut watch = Expecting::new(watcher.watch_set(sources(root)));
        on_runtime(async {
            fs::write(&lib, "a").unwrap();
            fs::write(root.join("app.log"), "a").unwrap();
            fs::write(root.join("src/.lib.rs.swp"), "a").unwrap();
            fs::write(root.join("target/debug/build.rs"), "a").unwrap();
            watch.expect(&[&lib]).await;

            fs::write(&main, "a").unwrap();
            fs::write(&manifest, "a").unwrap();
            watch.expect(&[&main, &manifest]).await;

            // As an editor saves: a new file renamed over the old one, which may be seen under its first name.
            watch.known.insert(lib.with_extension("new"));
            put(&lib, 20);
            fs::remove_file(&main).unwrap();
            watch.expect(&[&lib, &main]).await;
        });
    }

    #[test]
    fn folders_that_come_with_files_in_them_are_seen() {
        let folder = Folder::new();
        let root = folder.path.join("app");
        let watcher = Watcher::with(events_only()).unwrap();
        let mut watch = Expecting::new(watcher.watch_set(sources(&root)));
        on_runtime(async {
            for round in 0..10 {
                let sub = root.join(format!("src/{round}/deep"));
                fs::create_dir_all(&sub).unwrap();
                let file = sub.join("mod.rs");
                fs::write(&file, "").unwrap();
                watch.expect(&[&file]).await;
                fs::write(&file, "a").unwrap();
                watch.expect(&[&file]).await;
            }
            fs::remove_dir_all(&root).unwrap();
            let files: Vec<_> = watch.known.iter().cloned().collect();
            watch.expect(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>()).await;
        });
    }

    #[test]
    fn a_link_to_the_tree_is_followed() {
        let folder = Folder::new();
        for (sub, text) in [("one", "1"), ("two", "22")] {
            fs::create_dir(folder.path.join(sub)).unwrap();
            fs::write(folder.path.join(sub).join("lib.rs"), text).unwrap();
        }
        let link = folder.path.join("app");
        symlink("one", &link).unwrap();
        let watcher = Watcher::with(events_only()).unwrap();
        let mut watch = Expecting::new(watcher.watch_set(sources(&link)));
        on_runtime(async {
            fs::write(folder.path.join("one/lib.rs"), "x").unwrap();
            watch.expect(&[&link.join("lib.rs")]).await;
            symlink("two", folder.path.join("app.new")).unwrap();
            fs::rename(folder.path.join("app.new"), &link).unwrap();
            watch.expect(&[&link.join("lib.rs")]).await;
        });
    }
}
