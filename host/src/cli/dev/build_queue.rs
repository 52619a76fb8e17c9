//! Building what was saved, and handing it to the host.

use std::cell::RefCell;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use atoll_host::config::Config;
use atoll_host::internal::build::{
    BuildError, BuildOptions, BuiltLibrary, CrateBuild, Inputs, Workspace, is_about_builds,
};
use atoll_host::internal::http::LivePages;
use atoll_host::internal::{Library, Package, Registrar, Source, SourcePath};

use super::report::{LOG, Report, files};
use super::watches::{Saved, Sources, Watches};

/// Keeps the libraries of a registry's crates up to date with their sources.
pub(super) struct BuildQueue {
    registrar: Rc<Registrar>,
    live: Arc<LivePages>,
    report: Rc<Report>,
    release: bool,
    config: Config,
    /// Whether `config` has not been applied completely: it is when its crates have been built.
    config_waits: bool,
    /// The configuration applied to the host.
    applied: RefCell<Config>,
    /// The apps whose path is a crate's folder.
    apps: Vec<CrateApp>,
    benches: Vec<Bench>,
}

/// An app that is built here.
struct CrateApp {
    name: String,
    /// Its path in the registry, as the host knows it.
    path: SourcePath,
    built: CrateBuild,
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

impl BuildQueue {
    pub(super) fn new(
        registrar: Rc<Registrar>,
        live: Arc<LivePages>,
        report: Rc<Report>,
        release: bool,
    ) -> Self {
        Self {
            registrar,
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
            let source = Source::locate(app, &app.name);
            match source.package() {
                Some(package) => {
                    let package = Package {
                        folder: real_path(&package.folder),
                        workspace: real_path(&package.workspace),
                        ..package.clone()
                    };
                    let built = CrateBuild { package, settings: app.settings.build.clone() };
                    self.apps.push(CrateApp { name: app.name.clone(), path: app.into(), built });
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
        let watcher = self.registrar.watcher();
        watches.watch_places(watcher, places.iter().map(PathBuf::as_path));

        let mut before = std::mem::take(&mut self.benches);
        for workspace in Workspace::group(self.apps.iter().map(|app| app.built.clone())) {
            let same = before.iter().position(|bench| bench.workspace.crates() == workspace.crates());
            self.benches.push(match same {
                Some(place) => before.swap_remove(place),
                None => {
                    let work = Some(Work { since: Instant::now(), manifests: true });
                    Bench { workspace, work }
                }
            });
        }
        watches.keep_sources(|folder| self.benches.iter().any(|bench| bench.workspace.folder() == folder));
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
            let begun = SystemTime::now();
            let (saved, inputs) = self.build_or_save(place, watches, !restarted).await;
            watches.build_ended();
            restarted = inputs.is_none();
            if let Some(inputs) = inputs {
                let bench = &mut self.benches[place];
                bench.work = None;
                bench.workspace.learn(inputs);
                self.watch(place, watches, begun);
            }
            for saved in saved {
                self.note(saved, watches);
            }
        }
        if std::mem::take(&mut self.config_waits) {
            let changes = self.registrar.apply(&self.config);
            self.applied.replace(self.config.clone());
            self.live.registered();
            log::info!(target: LOG, "{}: {changes}", watches.registry().display());
        }
    }

    /// Builds the libraries of one workspace; what was saved meanwhile, and what they are made from. The build does not
    /// come to its end when its result would be outdated, if it `may_stop` then.
    async fn build_or_save(
        &self,
        place: usize,
        watches: &mut Watches,
        may_stop: bool,
    ) -> (Vec<Saved>, Option<Inputs>) {
        let mut all = Vec::new();
        let mut build = pin!(self.build(place));
        loop {
            tokio::select! {
                biased;
                saved = watches.saved(), if may_stop => {
                    let is_of_another = matches!(
                        &saved, Saved::Sources(sources) if sources.workspace != self.benches[place].workspace.folder()
                    );
                    all.push(saved);
                    if !is_of_another {
                        return (all, None);
                    }
                }
                inputs = &mut build => return (all, inputs),
            }
        }
    }

    /// Applies the apps that can be served already; the others keep their previous configuration.
    fn apply_ready(&self) {
        let before = self.applied.take();
        let apps = self.config.apps.iter().filter_map(|app| {
            let is_crate = self.apps.iter().any(|built| built.name == app.name);
            let ready = !is_crate || matches!(self.registrar.libraries().get(&app.into()), Library::Built(_));
            if ready { Some(app) } else { before.apps.iter().find(|before| before.name == app.name) }.cloned()
        });
        let ready = Config { apps: apps.collect(), quotas: self.config.quotas.clone(), fleet: None };
        self.registrar.apply(&ready);
        self.applied.replace(ready);
    }

    fn note(&mut self, saved: Saved, watches: &mut Watches) {
        log::debug!(target: LOG, "{saved:?}");
        match saved {
            Saved::Registry(config) => self.take(*config, watches),
            Saved::Place => self.find_crates(watches),
            Saved::Sources(sources) => {
                let folder = &sources.workspace;
                let Some(place) = self.benches.iter().position(|bench| bench.workspace.folder() == folder)
                else {
                    return;
                };
                let workspace = &self.benches[place].workspace;
                let packages: Vec<_> =
                    sources.paths.iter().flat_map(|path| workspace.made_from(path)).collect();
                let names: Vec<_> = self
                    .apps
                    .iter()
                    .filter(|app| packages.contains(&&app.built.package))
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
            // Cargo may write its lock file from here on.
            watches.build_begins();
            let Some(work) = self.benches[place].work.filter(|work| work.manifests) else {
                return Some(place);
            };
            // Watched before they are read: what is saved from here on is built again.
            let begun = SystemTime::now();
            self.watch(place, watches, begun);
            let bench = &mut self.benches[place];
            match bench.workspace.read_manifests().await {
                Ok(()) => {
                    self.watch(place, watches, begun);
                    return Some(place);
                }
                Err(error) => {
                    watches.build_ended();
                    bench.work = None;
                    let folders = folders(&self.benches[place].workspace);
                    self.failed(&folders, work.since, Instant::now(), &error);
                }
            }
        }
    }

    /// Watches what the libraries of one workspace are made from, as far as it is known by now.
    fn watch(&self, place: usize, watches: &mut Watches, since: SystemTime) {
        let workspace = &self.benches[place].workspace;
        watches.watch_sources(self.registrar.watcher(), workspace.folder(), workspace.sources(), since);
    }

    /// Builds the libraries of one workspace; what they are made from.
    async fn build(&self, place: usize) -> Option<Inputs> {
        let bench = &self.benches[place];
        let work = bench.work?;
        let begun = Instant::now();
        // Later builds have the log of the apps beside them.
        let progress = self.registrar.registry().apps().is_empty();
        let mut missing = folders(&bench.workspace);
        let options = BuildOptions { release: self.release, progress, ..BuildOptions::default() };
        let outcome = bench.workspace.build(options, |built| {
            missing.retain(|folder| *folder != built.package.folder);
            if progress && stderr().is_terminal() {
                // Over cargo's bar, which it draws again.
                eprint!("\r\x1b[K");
            }
            self.hand_over(built, work.since, begun);
        });
        let outcome = outcome.await;
        if let Err(error) = &outcome.result {
            self.failed(&missing, work.since, begun, error);
        }
        Some(outcome.inputs)
    }

    /// The apps whose crates are in these folders.
    fn apps_in<'a>(&'a self, folders: &'a [PathBuf]) -> impl Iterator<Item = &'a CrateApp> {
        self.apps.iter().filter(|app| folders.contains(&app.built.package.folder))
    }

    /// Tells the host of a library that was built.
    fn hand_over(&self, built: BuiltLibrary<'_>, since: Instant, begun: Instant) {
        for app in self.apps_in(std::slice::from_ref(&built.package.folder)) {
            let library = Library::Built(built.path.to_owned());
            let known = self.registrar.libraries().get(&app.path) == library;
            if known && built.fresh {
                // It is as it was before something was wrong with it.
                self.live.built(&app.name, None);
                continue;
            }
            self.registrar.libraries().set(app.path.path.clone(), library);
            self.report.built(&app.name, since, (!built.fresh).then(|| begun.elapsed()));
            if let Some(app) = self.registrar.registry().get(&app.name) {
                app.rebuilt(since);
            }
            self.live.built(&app.name, Some(since));
        }
        if self.config_waits {
            self.apply_ready();
            self.live.registered();
        }
    }

    /// Logs for each app without a new library what keeps serving instead.
    fn failed(&self, folders: &[PathBuf], since: Instant, begun: Instant, error: &BuildError) {
        if !matches!(error, BuildError::Failed { .. }) {
            log::error!(target: LOG, "{error}");
        }
        for app in self.apps_in(folders) {
            let registered = self.registrar.registry().get(&app.name);
            let serving = registered.as_ref().and_then(|app| app.serving());
            let goes_on = match (serving, self.registrar.libraries().get(&app.path)) {
                (Some(generation), _) => {
                    format!("generation {} of {} keeps serving", generation.number(), app.name)
                }
                (None, Library::Built(_)) => "the next request starts the last good build".to_owned(),
                (None, _) => "requests get 503 until it builds".to_owned(),
            };
            if !matches!(self.registrar.libraries().get(&app.path), Library::Built(_)) {
                self.registrar.libraries().set(app.path.path.clone(), Library::Failed(error.to_string()));
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
        let manifests = sources.paths.iter().any(|path| is_about_builds(path));
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
    workspace.crates().iter().map(|built| built.package.folder.clone()).collect()
}
