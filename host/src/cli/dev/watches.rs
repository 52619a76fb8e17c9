//! What `atoll dev` waits for: the registry file, the sources, and what may become a crate.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use atoll_host::config::Config;
use atoll_host::internal::ConfigFile;
use atoll_host::internal::{FileWatch, TreeWatch, WatchSet, Watcher};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, pending, select_all};

/// Something that was saved.
#[derive(Debug)]
pub(super) enum Saved {
    /// The registry file.
    Registry(Box<Config>),
    /// Files that a workspace's libraries are made from.
    Sources(Sources),
    /// What is at an app's path, where no crate was found before.
    Place,
}

/// Files of one workspace.
#[derive(Debug)]
pub(super) struct Sources {
    /// The folder that cargo is called in for it.
    pub(super) workspace: PathBuf,
    /// The files.
    pub(super) paths: Vec<PathBuf>,
    /// When the first sign of it was seen.
    pub(super) noticed: Instant,
}

/// All watches of a workshop.
#[derive(Debug)]
pub(super) struct Watches {
    registry: ConfigFile,
    /// By the folder that cargo is called in for a workspace.
    sources: HashMap<PathBuf, TreeWatch>,
    places: Vec<FileWatch>,
    /// What the files that were saved contained, when that was last seen for each of the workspaces.
    seen: HashMap<(PathBuf, PathBuf), Option<blake3::Hash>>,
    build: Build,
}

/// Whether cargo runs, which writes files too.
#[derive(Clone, Copy, Debug)]
enum Build {
    Never,
    Runs,
    Ended(Instant),
}

impl Watches {
    pub(super) fn new(registry: ConfigFile) -> Self {
        Self {
            registry,
            sources: HashMap::new(),
            places: Vec::new(),
            seen: HashMap::new(),
            build: Build::Never,
        }
    }

    pub(super) fn registry(&self) -> &Path {
        self.registry.path()
    }

    /// Watches these sources of a workspace, and no others. Of those that were not watched before, what has changed since
    /// the moment `since` is reported.
    pub(super) fn watch_sources(
        &mut self,
        watcher: &Watcher,
        workspace: &Path,
        sources: WatchSet,
        since: SystemTime,
    ) {
        match self.sources.get(workspace) {
            Some(watch) => watch.change_set(sources, since),
            None => drop(self.sources.insert(workspace.to_owned(), watcher.watch_set(sources))),
        }
    }

    /// Watches the sources of these workspaces only.
    pub(super) fn keep_sources(&mut self, wanted: impl Fn(&Path) -> bool) {
        self.sources.retain(|workspace, _| wanted(workspace));
    }

    /// Watches places where crates may come to be, instead of others.
    pub(super) fn watch_places<'a>(&mut self, watcher: &Watcher, places: impl Iterator<Item = &'a Path>) {
        self.places = places.map(|path| watcher.watch_file(path)).collect();
    }

    /// A build begins.
    pub(super) fn build_begins(&mut self) {
        self.build = Build::Runs;
    }

    /// The build has ended.
    pub(super) fn build_ended(&mut self) {
        self.build = Build::Ended(Instant::now());
    }

    /// Waits until something is saved. What a build itself writes does not count: its lock file, and what a build
    /// script writes again as it was.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub(super) async fn saved(&mut self) -> Saved {
        loop {
            let mut saved = self.anything_saved().await;
            if let Saved::Sources(sources) = &mut saved {
                let in_build = match self.build {
                    Build::Never => false,
                    Build::Runs => true,
                    Build::Ended(at) => sources.noticed <= at,
                };
                sources.paths.retain(|path| {
                    let is_new = self.is_new(&sources.workspace, path);
                    !in_build || (is_new && !path.ends_with("Cargo.lock"))
                });
                if sources.paths.is_empty() {
                    continue;
                }
            }
            return saved;
        }
    }

    /// Whether a file has other contents than when it was last saved.
    fn is_new(&mut self, workspace: &Path, path: &Path) -> bool {
        let now = fs::read(path).ok().map(|bytes| blake3::hash(&bytes));
        self.seen.insert((workspace.to_owned(), path.to_owned()), now) != Some(now)
    }

    async fn anything_saved(&mut self) -> Saved {
        let sources = self.sources.iter_mut().map(|(workspace, watch)| {
            watch
                .changed()
                .map(|change| {
                    let (paths, noticed) = (change.paths, change.noticed);
                    Saved::Sources(Sources { workspace: workspace.clone(), paths, noticed })
                })
                .boxed_local()
        });
        let places =
            self.places.iter_mut().map(|place| place.changed().map(|_change| Saved::Place).boxed_local());
        tokio::select! {
            config = self.registry.changed() => Saved::Registry(Box::new(config)),
            saved = first(sources.chain(places).collect()) => saved,
        }
    }
}

async fn first<T>(futures: Vec<LocalBoxFuture<'_, T>>) -> T {
    if futures.is_empty() { pending().await } else { select_all(futures).await.0 }
}
