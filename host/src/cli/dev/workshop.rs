//! Building what was saved, and handing it to the host.

use std::cell::RefCell;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use atoll_host::build::{BuildError, BuildOptions, BuiltLibrary, Workspace};
use atoll_host::config::Config;
use atoll_host::http::LivePages;
use atoll_host::{Library, Package, Registry, Services, Source};

use super::report::{LOG, Report, files};
use super::watches::{Saved, Sources, Watches};

/// Keeps the libraries of a registry's crates what their sources say.
pub(super) struct Workshop {
    registry: Arc<Registry>,
    services: Rc<Services>,
    live: Arc<LivePages>,
    report: Rc<Report>,
    release: bool,
    config: Config,
    /// Whether the host has yet to be told of all of `config`: it is when its crates have been built.
    config_waits: bool,
    /// What the host was told.
    applied: RefCell<Config>,
    /// The apps whose path is a crate's folder.
    apps: Vec<CrateApp>,
    benches: Vec<Bench>,
}

/// An app that is built here.
struct CrateApp {
    name: String,
    /// Its path in the registry, as the host knows it.
    path: PathBuf,
    package: Package,
}

/// A workspace, and what is to be done for it.
struct Bench {
    workspace: Workspace,
    work: Option<Work>,
}

/// A build that is due.
#[derive(Clone, Copy)]
struct Work {
    /// When the last of the changes that it is for was noticed.
    since: Instant,
    /// Whether manifests have changed, which say what is to be built from what.
    manifests: bool,
}

impl Workshop {
    pub(super) fn new(
        registry: Arc<Registry>,
        services: Rc<Services>,
        live: Arc<LivePages>,
        report: Rc<Report>,
        release: bool,
    ) -> Self {
        Self {
            registry,
            services,
            live,
            report,
            release,
            config: Config::default(),
            config_waits: false,
            applied: RefCell::default(),
            apps: Vec::new(),
            benches: Vec::new(),
        }
    }

    /// Takes a new configuration: each app that is new in it is to be built before the host sees it.
    pub(super) fn take(&mut self, config: Config, watches: &mut Watches) {
        self.config = config;
        self.config_waits = true;
        self.find_crates(watches);
    }

    /// Finds out which apps are crates, and in which workspaces.
    fn find_crates(&mut self, watches: &mut Watches) {
        self.apps.clear();
        let mut places = Vec::new();
        for app in &self.config.apps {
            let source = Source::locate(&app.path, &app.name);
            match source.package() {
                Some(package) => {
                    let package = Package {
                        folder: real_path(&package.folder),
                        workspace: real_path(&package.workspace),
                        ..package.clone()
                    };
                    self.apps.push(CrateApp { name: app.name.clone(), path: app.path.clone(), package });
                }
                // The host itself follows a library that is there.
                None => {
                    if let Err(error) = source.library() {
                        log::error!(target: LOG, "{}: {error}", app.name);
                        places.extend_from_slice(source.watch());
                    }
                }
            }
        }
        self.live.coming(self.apps.iter().map(|app| app.name.as_str()));
        let watcher = self.services.watcher();
        watches.watch_places(watcher, places.iter().map(PathBuf::as_path));

        let mut before = std::mem::take(&mut self.benches);
        for workspace in Workspace::group(self.apps.iter().map(|app| app.package.clone())) {
            let same = before.iter().position(|bench| {
                bench.workspace.root() == workspace.root()
                    && bench.workspace.packages() == workspace.packages()
            });
            self.benches.push(match same {
                Some(place) => before.swap_remove(place),
                None => {
                    let work = Some(Work { since: Instant::now(), manifests: true });
                    Bench { workspace, work }
                }
            });
        }
        watches.keep_sources(|root| self.benches.iter().any(|bench| bench.workspace.root() == root));
    }

    /// Builds what is saved, for as long as it is polled. Dropping it ends the build that runs.
    pub(super) async fn follow(mut self, mut watches: Watches) {
        loop {
            self.work_off(&mut watches).await;
            let saved = watches.saved().await;
            self.note(saved, &mut watches);
        }
    }

    /// Builds until nothing is left to be built, and then hands a new configuration to the host.
    ///
    /// What is saved during a build ends it, as its result would be outdated, and begins the next. That one is finished
    /// whatever is saved, so that there is an end: a build script may write into its crate's folder.
    pub(super) async fn work_off(&mut self, watches: &mut Watches) {
        if self.config_waits {
            self.apply_ready();
        }
        let mut restarted = false;
        while let Some(place) = self.next_work(watches).await {
            watches.build_begins();
            let (saved, ended) = self.build_or_save(place, watches, !restarted).await;
            watches.build_ended();
            restarted = !ended;
            if ended {
                self.benches[place].work = None;
            }
            for saved in saved {
                self.note(saved, watches);
            }
        }
        if std::mem::take(&mut self.config_waits) {
            let changes = self.registry.apply(&self.config, &self.services);
            self.applied.replace(self.config.clone());
            self.live.registered();
            log::info!(target: LOG, "{}: {changes}", watches.registry().display());
        }
    }

    /// Builds the libraries of one workspace; what was saved meanwhile, and whether the build has come to its end. It does
    /// not when its result would be outdated, if it `may_stop` then.
    async fn build_or_save(&self, place: usize, watches: &mut Watches, may_stop: bool) -> (Vec<Saved>, bool) {
        let mut all = Vec::new();
        let mut build = pin!(self.build(place));
        loop {
            tokio::select! {
                biased;
                saved = watches.saved(), if may_stop => {
                    let is_of_another = matches!(
                        &saved, Saved::Sources(sources) if sources.workspace != self.benches[place].workspace.root()
                    );
                    all.push(saved);
                    if !is_of_another {
                        return (all, false);
                    }
                }
                () = &mut build => return (all, true),
            }
        }
    }

    /// Tells the host of the apps that can be served already: of the others it has what it was told before.
    fn apply_ready(&self) {
        let before = self.applied.take();
        let apps = self.config.apps.iter().filter_map(|app| {
            let is_crate = self.apps.iter().any(|built| built.name == app.name);
            let ready = !is_crate || matches!(self.services.library(&app.path), Library::Built(_));
            if ready { Some(app) } else { before.apps.iter().find(|before| before.name == app.name) }.cloned()
        });
        let ready = Config { apps: apps.collect() };
        self.registry.apply(&ready, &self.services);
        self.applied.replace(ready);
    }

    fn note(&mut self, saved: Saved, watches: &mut Watches) {
        log::debug!(target: LOG, "{saved:?}");
        match saved {
            Saved::Registry(config) => self.take(config, watches),
            Saved::Place => self.find_crates(watches),
            Saved::Sources(sources) => {
                let root = &sources.workspace;
                let Some(place) = self.benches.iter().position(|bench| bench.workspace.root() == root) else {
                    return;
                };
                let workspace = &self.benches[place].workspace;
                let packages: Vec<_> =
                    sources.paths.iter().flat_map(|path| workspace.made_from(path)).collect();
                let names: Vec<_> = self
                    .apps
                    .iter()
                    .filter(|app| packages.contains(&&app.package))
                    .map(|app| app.name.as_str())
                    .collect();
                if !names.is_empty() {
                    log::info!(target: LOG, "{} changed: building {}", files(&sources.paths), names.join(", "));
                }
                if self.benches[place].note(&sources) {
                    // The crate may be called otherwise now, or build no library.
                    self.find_crates(watches);
                }
            }
        }
    }

    /// Which bench has work, ready to be built.
    async fn next_work(&mut self, watches: &mut Watches) -> Option<usize> {
        loop {
            let place = self.benches.iter().position(|bench| bench.work.is_some())?;
            let bench = &mut self.benches[place];
            let Some(work) = bench.work.filter(|work| work.manifests) else { return Some(place) };
            // Watched before they are read: what is saved from here on is built again.
            let root = bench.workspace.root().to_owned();
            watches.watch_sources(self.services.watcher(), &root, bench.workspace.sources());
            match bench.workspace.read_manifests().await {
                Ok(()) => {
                    watches.watch_sources(self.services.watcher(), &root, bench.workspace.sources());
                    return Some(place);
                }
                Err(error) => {
                    bench.work = None;
                    let folders = folders(&self.benches[place].workspace);
                    self.failed(&folders, work.since, Instant::now(), &error);
                }
            }
        }
    }

    /// Builds the libraries of one workspace.
    async fn build(&self, place: usize) {
        let bench = &self.benches[place];
        let Some(work) = bench.work else { return };
        let begun = Instant::now();
        // Later builds have the log of the apps beside them.
        let progress = self.registry.apps().is_empty();
        let mut missing = folders(&bench.workspace);
        let options = BuildOptions { release: self.release, progress, ..BuildOptions::default() };
        let result = bench.workspace.build(options, |built| {
            missing.retain(|folder| *folder != built.package.folder);
            if progress && stderr().is_terminal() {
                // Over cargo's bar, which it draws again.
                eprint!("\r\x1b[K");
            }
            self.hand_over(built, work.since, begun);
        });
        let result = result.await;
        if let Err(error) = result {
            self.failed(&missing, work.since, begun, &error);
        }
    }

    /// The apps whose crates are in these folders.
    fn apps_in<'a>(&'a self, folders: &'a [PathBuf]) -> impl Iterator<Item = &'a CrateApp> {
        self.apps.iter().filter(|app| folders.contains(&app.package.folder))
    }

    /// Tells the host of a library that was built.
    fn hand_over(&self, built: BuiltLibrary<'_>, since: Instant, begun: Instant) {
        for app in self.apps_in(std::slice::from_ref(&built.package.folder)) {
            let library = Library::Built(built.path.to_owned());
            let known = self.services.library(&app.path) == library;
            if known && built.fresh {
                // It is as it was before something was wrong with it.
                self.live.built(&app.name, None);
                continue;
            }
            self.services.set_library(app.path.clone(), library);
            self.report.built(&app.name, since, (!built.fresh).then(|| begun.elapsed()));
            if let Some(app) = self.registry.get(&app.name) {
                app.rebuilt(since);
            }
            self.live.built(&app.name, Some(since));
        }
        if self.config_waits {
            self.apply_ready();
            self.live.registered();
        }
    }

    /// Says for each app without a new library what goes on instead.
    fn failed(&self, folders: &[PathBuf], since: Instant, begun: Instant, error: &BuildError) {
        if !matches!(error, BuildError::Failed { .. }) {
            log::error!(target: LOG, "{error}");
        }
        for app in self.apps_in(folders) {
            let registered = self.registry.get(&app.name);
            let serving = registered.as_ref().and_then(|app| app.serving());
            let goes_on = match (serving, self.services.library(&app.path)) {
                (Some(generation), _) => {
                    format!("generation {} of {} goes on serving", generation.number(), app.name)
                }
                (None, Library::Built(_)) => "the last good build is what the next request starts".to_owned(),
                (None, _) => "requests are answered with 503 until it can be built".to_owned(),
            };
            if !matches!(self.services.library(&app.path), Library::Built(_)) {
                self.services.set_library(app.path.clone(), Library::Failed(error.to_string()));
                if let Some(app) = registered {
                    app.rebuilt(since);
                }
            }
            let text = match error {
                BuildError::Failed { colored, .. } => colored.clone(),
                other => other.to_string(),
            };
            self.live.build_failed(&app.name, &text);
            let seconds = begun.elapsed().as_secs_f64();
            log::error!(target: LOG, "{}: the build failed after {seconds:.2} s; {goes_on}", app.name);
        }
    }
}

impl Bench {
    /// Takes note of what was saved; whether manifests are among it.
    fn note(&mut self, sources: &Sources) -> bool {
        let manifests = sources.paths.iter().any(|path| path.ends_with("Cargo.toml"));
        let before = self.work.is_some_and(|work| work.manifests);
        self.work = Some(Work { since: sources.noticed, manifests: manifests || before });
        manifests
    }
}

/// Two spellings of a path are the same folder; one that is gone is only itself.
fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn folders(workspace: &Workspace) -> Vec<PathBuf> {
    workspace.packages().iter().map(|package| package.folder.clone()).collect()
}
