//! One task for each app, which turns what happens into events of its [`Lifecycle`] and carries the effects out.

mod effects;
mod fault;
mod hang;
mod input;
mod reactions;
mod report;
mod waiters;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_port::CallSink;
use futures_util::FutureExt;
use futures_util::future::{pending, select_all};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep_until;

use self::input::Input;
use self::waiters::{Waiters, answer};
use crate::abi::panic_report::queue;
use crate::app::command::{Command, Commands};
use crate::app::environment;
use crate::app::file_lookups::FileLookups;
use crate::app::handle::{App, Beside};
use crate::app::hang_watch::HangWatch;
use crate::app::heap_watch::HeapWatch;
use crate::app::idle::IdleWatch;
use crate::app::libraries::{Libraries, Library};
use crate::app::lifecycle::{Event, Lifecycle, Number, Policy};
use crate::app::live_generation::LiveGeneration;
use crate::app::pins::Pins;
use crate::app::prepare::{Preparation, Preparer};
use crate::app::resources::AppResources;
use crate::config::{AppConfig, Isolation, SandboxSettings, Settings};
use crate::library::content_hash::ContentHash;
use crate::library::loader::Loader;
use crate::library::needed::places_to_watch;
use crate::library::preflight::Preflight;
use crate::library::source::{Source, SourcePath};
use crate::library::stage::{Kept, Staging};
use crate::observe::faults::Faults;
use crate::process::pool::BlankPool;
use crate::watch::{Change, FileWatch, Watcher};

/// Registers an app: makes its handle and starts its supervisor on this thread. `call_sink` carries out its calls; `beside`: it is a
/// version that serves beside the current one of the app.
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet).
pub(crate) fn register(
    config: &AppConfig,
    shared: &AppResources,
    call_sink: Arc<dyn CallSink>,
    beside: Option<Beside>,
) -> Arc<App> {
    let (inputs, queue) = mpsc::unbounded_channel();
    let commands = inputs.clone();
    let commands = Commands::new(move |command| commands.send(Input::Command(command)).is_ok());
    let app = Arc::new(App::new(config, commands, shared.of_handle(), beside));
    shared.staging.register(&config.name);
    if config.settings.isolation == Isolation::Process {
        let policy = config.settings.sandbox.as_ref().map(SandboxSettings::shape);
        shared.blanks.fill(policy.as_ref());
    }
    let supervisor = Supervisor {
        app: app.clone(),
        staging: shared.staging.clone(),
        preparer: shared.preparer.clone(),
        preflight: shared.preflight.clone(),
        watcher: shared.watcher.clone(),
        loader: shared.loader.clone(),
        blanks: shared.blanks.clone(),
        libraries: shared.libraries.clone(),
        file_lookups: shared.file_lookups.clone(),
        call_sink,
        library: library_of(&app, &shared.libraries, &config.into()),
        path: config.into(),
        watches: Vec::new(),
        environment_watches: Vec::new(),
        inputs,
        lifecycle: Lifecycle::new(policy(&config.settings)),
        live: HashMap::new(),
        waiters: Waiters::default(),
        prepared: None,
        rollback: None,
        handed: Vec::new(),
        pins_changes: shared.pins.changes(),
        pins: shared.pins.clone(),
        faults: shared.faults.clone(),
        last_hash: None,
        idle: IdleWatch::default(),
        hang: HangWatch::default(),
        heap: HeapWatch::default(),
        born: Instant::now(),
        is_finished: false,
    };
    tokio::task::spawn_local(supervisor.run(queue));
    app
}

/// Where the library of an app is that has this path.
fn library_of(app: &App, libraries: &Libraries, path: &SourcePath) -> Library {
    app.own_library().map_or_else(|| libraries.get(path), |library| Library::Built(library.to_owned()))
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        preload: settings.preload,
        max_restarts: settings.max_restarts as usize,
        max_pinned: settings.max_pinned,
        max_draining: settings.max_draining,
        ..Policy::default()
    }
}

struct Supervisor {
    app: Arc<App>,
    staging: Arc<Staging>,
    preparer: Preparer,
    preflight: Option<Arc<Preflight>>,
    watcher: Watcher,
    loader: Rc<dyn Loader>,
    blanks: BlankPool,
    libraries: Libraries,
    file_lookups: FileLookups,
    call_sink: Arc<dyn CallSink>,
    /// Where its library is, by its entry in the registry.
    path: SourcePath,
    library: Library,
    /// What tells that the library may be another one, by its path.
    watches: Vec<(PathBuf, FileWatch)>,
    /// What tells that the environment may be another one.
    environment_watches: Vec<(PathBuf, FileWatch)>,
    inputs: mpsc::UnboundedSender<Input>,
    lifecycle: Lifecycle,
    live: HashMap<Number, LiveGeneration>,
    waiters: Waiters,
    /// A copy of the library on disk, made for the call that starts the app.
    prepared: Option<Preparation>,
    /// The earlier library that a reload was asked for.
    rollback: Option<Kept>,
    /// The states that another host has handed over, until a generation serves with them.
    handed: Vec<Value>,
    pins: Pins,
    faults: Faults,
    /// Notifies that generations were pinned, or could be unloaded.
    pins_changes: watch::Receiver<()>,
    /// Of the generation that started last.
    last_hash: Option<ContentHash>,
    idle: IdleWatch,
    hang: HangWatch,
    heap: HeapWatch,
    /// The start of the lifecycle's time.
    born: Instant,
    is_finished: bool,
}

enum Wake {
    Input(Option<Input>),
    Changed(PathBuf, Change),
    EnvironmentChanged(Change),
    PauseOver,
    IdleCheck,
    HangCheck,
    HeapCheck,
    Pins,
}

impl Supervisor {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Input>) {
        // An app of this name may have left some.
        self.pins_changed();
        // Before anything is loaded, so that no change is missed.
        self.find_library().await;
        self.watch_environment(&self.app.settings()).await;
        self.place();
        self.judge_fault().await;
        self.event(Event::Registered);
        while !self.is_finished {
            match self.wake(&mut queue).await {
                Wake::Input(Some(Input::Command(Command::Hold(begun, released)))) => {
                    // Who asked may have stopped waiting; then the other end is dropped as well.
                    let _ = begun.send(());
                    tokio::select! {
                        _ = released => {}
                        // One that is to stop soon is stopped first.
                        _ = self.app.lease().ends(), if !self.lifecycle.stands_by() => {}
                    }
                }
                Wake::Input(Some(input)) => {
                    match &input {
                        Input::Command(Command::Configure(config)) => {
                            self.path = (&**config).into();
                            self.find_library().await;
                            self.watch_environment(&config.settings).await;
                        }
                        Input::Command(Command::Rebuilt(_)) => self.find_library().await,
                        _ => {}
                    }
                    self.input(input);
                }
                Wake::Input(None) => break,
                Wake::Changed(path, change) => {
                    // There may be other files to watch.
                    self.find_library().await;
                    self.file_changed(&path, &change);
                }
                Wake::EnvironmentChanged(change) => self.environment_changed(&change),
                Wake::PauseOver => self.event(Event::PauseOver),
                Wake::IdleCheck => self.idle_check(),
                Wake::HangCheck => self.hang_check(),
                Wake::HeapCheck => self.heap_check(),
                Wake::Pins => self.pins_changed(),
            }
        }
        // What the app has reported last may still wait for a backtrace.
        if !queue::is_done() {
            // It ends however it ends.
            let _ = spawn_blocking(queue::flush).await;
        }
        self.staging.forget(self.app.name());
        answer(&mut self.waiters.closes, &());
    }

    /// Asks again where the library is, and watches all that has a say in it, and in the shared libraries beside it.
    async fn find_library(&mut self) {
        self.library = library_of(&self.app, &self.libraries, &self.path);
        let library = self.library.clone();
        let (app, watcher) = (self.app.name().clone(), self.watcher.clone());
        let watched: Vec<PathBuf> = self.watches.iter().map(|(path, _)| path.clone()).collect();
        let find = move || {
            let (mut paths, file) = match library {
                Library::At(path) => {
                    let source = Source::locate(path, &app);
                    (source.watch().to_vec(), source.library().ok().map(Path::to_owned))
                }
                // The build announces the next one.
                Library::Built(file) => (Vec::new(), Some(file)),
                Library::Failed(_) => (Vec::new(), None),
            };
            paths.extend(file.iter().flat_map(|file| places_to_watch(file)));
            paths.sort();
            paths.dedup();
            let new = paths.iter().filter(|path| !watched.contains(path));
            let new: Vec<_> = new.map(|path| (path.clone(), watcher.watch_file(path))).collect();
            (paths, new)
        };
        match self.file_lookups.run(find).await {
            Ok((paths, new)) => {
                self.watches.retain(|(path, _)| paths.contains(path));
                self.watches.extend(new);
            }
            Err(error) => {
                log::warn!("{}: cannot watch {}: {error}", self.app.name(), self.path.path.display());
            }
        }
    }

    /// Watches the files of the environment, so that what changes from now on is noticed.
    async fn watch_environment(&mut self, settings: &Settings) {
        let files = environment::files(settings);
        self.environment_watches.retain(|(path, _)| files.contains(path));
        let is_new = |path: &PathBuf| self.environment_watches.iter().all(|(watched, _)| watched != path);
        let new: Vec<_> = files.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return;
        }
        let watcher = self.watcher.clone();
        let watch = move || new.into_iter().map(|path| (path.clone(), watcher.watch_file(path))).collect();
        match self.file_lookups.run::<Vec<_>>(watch).await {
            Ok(new) => self.environment_watches.extend(new),
            Err(error) => {
                log::warn!("{}: cannot watch the files of its environment: {error}", self.app.name());
            }
        }
    }

    async fn wake(&mut self, queue: &mut mpsc::UnboundedReceiver<Input>) -> Wake {
        let pause = self.lifecycle.pause_until().map(|end| self.born + end);
        let idle = self.idle.next_check();
        let hang = self.hang.next_check();
        let heap = self.heap.next_check();
        let changed = any_change(&mut self.watches);
        let environment_changed = any_change(&mut self.environment_watches);
        tokio::select! {
            biased;
            input = queue.recv() => Wake::Input(input),
            (path, change) = changed => Wake::Changed(path, change),
            (_, change) = environment_changed => Wake::EnvironmentChanged(change),
            // Its other end is with the pins, which live as long as this.
            _ = self.pins_changes.changed() => Wake::Pins,
            () = sleep_until_some(pause) => Wake::PauseOver,
            () = sleep_until_some(idle) => Wake::IdleCheck,
            () = sleep_until_some(hang) => Wake::HangCheck,
            () = sleep_until_some(heap) => Wake::HeapCheck,
        }
    }

    fn idle_check(&mut self) {
        let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) else {
            return self.idle.stop();
        };
        if self.idle.check(live.generation.calls(), self.app.settings().idle_timeout())
            && self.lifecycle.starting().is_none()
            && live.generation.retire_if_idle()
        {
            let number = live.generation.number();
            self.idle.stop();
            self.event(Event::Idle(number));
        }
    }

    /// Replaces the serving generation when its heap has grown above the limit.
    fn heap_check(&mut self) {
        let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) else {
            return self.heap.stop();
        };
        let limit = self.app.settings().heap_soft_limit;
        let bytes = live.generation.heap().live;
        if self.heap.check(bytes, limit) && self.lifecycle.starting().is_none() {
            let (app, number) = (self.app.name(), live.generation.number());
            log::warn!(
                "{app}#{number} uses {bytes} bytes of heap, more than heap_soft_limit = {}: replacing it with a new \
                generation",
                limit.unwrap_or_default()
            );
            self.event(Event::HeapExceeded(number));
        }
    }

    /// Takes note of how many of the app's generations are pinned.
    fn pins_changed(&mut self) {
        self.event(Event::Pinned(self.pins.count(self.app.name())));
    }

    fn event(&mut self, event: Event) {
        let was_faulted = self.lifecycle.is_faulted();
        let effects = self.lifecycle.on(event, self.now());
        if was_faulted && !self.lifecycle.is_faulted() {
            self.faults.resolve(self.app.name());
        }
        // Before those get their answers that wait for it: they may look at once.
        self.app.set_phase(self.lifecycle.phase(), self.lifecycle.retiring().count());
        for effect in effects {
            self.carry_out(effect);
        }
    }

    /// The lifecycle's time.
    fn now(&self) -> Duration {
        self.born.elapsed()
    }

    /// Copies and inspects the library, for the call that will need it.
    fn prepare(&mut self) {
        self.prepared = match &self.library {
            Library::Failed(_) => None,
            library => {
                let path = match library {
                    Library::Built(file) => file.into(),
                    _ => self.path.clone(),
                };
                let settings = self.app.settings();
                let limit = settings.library_limit as u64;
                let in_host = settings.isolation != Isolation::Process;
                let preflight = (settings.preflight && in_host).then(|| settings.start_timeout());
                Some(self.preparer.begin(self.app.name().clone(), path, limit, preflight))
            }
        };
    }
}

/// The next change of one of these files, and its path.
async fn any_change(watches: &mut [(PathBuf, FileWatch)]) -> (PathBuf, Change) {
    if watches.is_empty() {
        return pending().await;
    }
    let changes = watches.iter_mut().map(|(_, watch)| watch.changed().boxed_local());
    let (change, place, _) = select_all(changes).await;
    (watches[place].0.clone(), change)
}

async fn sleep_until_some(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
