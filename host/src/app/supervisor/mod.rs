//! What carries an app through its life: one task for each app, which turns what happens into events of the
//! [`Lifecycle`] and carries its effects out.

mod effects;
mod input;
mod reactions;

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use atoll_port::CallSink;
use futures_util::FutureExt;
use futures_util::future::{Either, pending, select_all};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use self::input::Input;
use crate::app::command::{Command, Commands};
use crate::app::handle::App;
use crate::app::heap_watch::HeapWatch;
use crate::app::idle::IdleWatch;
use crate::app::lifecycle::{Effect, Event, Lifecycle, Number, Phase, RestartPolicy};
use crate::app::live_generation::LiveGeneration;
use crate::app::prepare::Preparation;
use crate::app::services::{Library, Services};
use crate::app::unavailable::Unavailable;
use crate::config::{AppConfig, Settings};
use crate::library::content_hash::ContentHash;
use crate::library::source::Source;
use crate::library::stage::Kept;
use crate::watch::{Change, FileWatch};

/// Registers an app: makes its handle and starts its driver on this thread. `call_sink` carries out its calls.
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet).
pub(crate) fn register(config: &AppConfig, services: Rc<Services>, call_sink: Arc<dyn CallSink>) -> Arc<App> {
    let (inputs, queue) = mpsc::unbounded_channel();
    let commands = inputs.clone();
    let commands = Commands::new(move |command| commands.send(Input::Command(command)).is_ok());
    let app = Arc::new(App::new(config, commands, &services));
    let library = services.library(&config.path);
    services.staging().register(&config.name);
    let pins = services.pins().changes();
    let mut driver = Supervisor {
        app: app.clone(),
        services,
        call_sink,
        path: config.path.clone(),
        library,
        watches: Vec::new(),
        inputs,
        lifecycle: Lifecycle::new(policy(&config.settings)),
        live: HashMap::new(),
        waiting: Vec::new(),
        closing: Vec::new(),
        stopping: Vec::new(),
        next: Next::default(),
        brought: Next::default(),
        pins,
        held: false,
        last_hash: None,
        asked: Vec::new(),
        ended_early: None,
        rested: None,
        last_error: String::new(),
        unusable: false,
        idle: IdleWatch::default(),
        heap: HeapWatch::default(),
        replaces_heap: false,
        born: Instant::now(),
    };
    if config.settings.preload {
        app.preload();
    } else {
        driver.prepare();
    }
    tokio::task::spawn_local(driver.run(queue));
    app
}

fn policy(settings: &Settings) -> RestartPolicy {
    RestartPolicy {
        max_restarts: settings.max_restarts as usize,
        max_pinned: settings.max_pinned,
        max_draining: settings.max_draining,
        ..RestartPolicy::default()
    }
}

struct Supervisor {
    app: Arc<App>,
    services: Rc<Services>,
    call_sink: Arc<dyn CallSink>,
    /// The `path` of its entry in the registry.
    path: PathBuf,
    library: Library,
    /// What tells that the library may be another one, by its path.
    watches: Vec<(PathBuf, FileWatch)>,
    inputs: mpsc::UnboundedSender<Input>,
    lifecycle: Lifecycle,
    live: HashMap<Number, LiveGeneration>,
    waiting: Vec<oneshot::Sender<Result<(), Unavailable>>>,
    closing: Vec<oneshot::Sender<()>>,
    /// Who waits until all generations are down.
    stopping: Vec<oneshot::Sender<()>>,
    next: Next,
    /// What was known of the generation that was brought last, for another attempt at it.
    brought: Next,
    /// What tells that generations were pinned, or could be unloaded.
    pins: watch::Receiver<()>,
    /// Whether what serves gets no requests, because its state is handed over.
    held: bool,
    /// Of the generation that started last.
    last_hash: Option<ContentHash>,
    /// Who asked for a reload.
    asked: Vec<oneshot::Sender<Result<Number, String>>>,
    /// A worker of the coming generation that has ended already, and why.
    ended_early: Option<(Number, String)>,
    rested: Option<Instant>,
    last_error: String,
    unusable: bool,
    idle: IdleWatch,
    heap: HeapWatch,
    /// Whether the generation that comes replaces one whose heap was above its limit.
    replaces_heap: bool,
    born: Instant,
}

/// What is known of a generation that is to be brought.
#[derive(Default)]
struct Next {
    /// When the change was noticed that it brings.
    changed: Option<Instant>,
    /// Whether it is brought also if the library is unchanged.
    forced: bool,
    /// Its library, instead of the one on disk.
    kept: Option<Kept>,
    /// A copy of the one on disk, made ahead.
    prepared: Option<Preparation>,
}

impl Next {
    /// Whether nothing is known that a later attempt could lose.
    fn is_unknown(&self) -> bool {
        self.changed.is_none() && !self.forced && self.kept.is_none()
    }
}

enum Wake {
    Input(Option<Input>),
    Changed(Change),
    Rested,
    IdleCheck,
    HeapCheck,
    Pins,
}

impl Supervisor {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Input>) {
        // An app of this name may have left some.
        self.pins_changed();
        // Before anything is loaded, so that no change is missed.
        self.find_library().await;
        loop {
            let finished = match self.wake(&mut queue).await {
                Wake::Input(Some(input)) => {
                    match &input {
                        Input::Command(Command::Configure(config)) => {
                            self.path.clone_from(&config.path);
                            self.find_library().await;
                        }
                        Input::Command(Command::Rebuilt(_)) => self.find_library().await,
                        _ => {}
                    }
                    self.input(input)
                }
                Wake::Input(None) => true,
                Wake::Changed(change) => {
                    // There may be other files to watch.
                    self.find_library().await;
                    self.changed(&change)
                }
                Wake::Rested => {
                    self.rested = None;
                    self.event(Event::Rested)
                }
                Wake::IdleCheck => self.idle_check(),
                Wake::HeapCheck => self.heap_check(),
                Wake::Pins => self.pins_changed(),
            };
            if finished {
                break;
            }
        }
        self.services.staging().forget(self.app.name());
        for closing in self.closing.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = closing.send(());
        }
    }

    /// Asks again where the library is, and watches all that has a say in it.
    async fn find_library(&mut self) {
        self.library = self.services.library(&self.path);
        let Library::At(path) = self.library.clone() else { return self.watches.clear() };
        let (app, watcher) = (self.app.name().clone(), self.services.watcher().clone());
        let watched: Vec<PathBuf> = self.watches.iter().map(|(path, _)| path.clone()).collect();
        let find = move || {
            let source = Source::locate(path, &app);
            let new = source.watch().iter().filter(|path| !watched.contains(path));
            let new: Vec<_> = new.map(|path| (path.clone(), watcher.watch_file(path))).collect();
            (source.watch().to_vec(), new)
        };
        match self.services.look_at_files(find).await {
            Ok((paths, new)) => {
                self.watches.retain(|(path, _)| paths.contains(path));
                self.watches.extend(new);
            }
            Err(error) => {
                log::warn!("{}: cannot watch {}: {error}", self.app.name(), self.path.display());
            }
        }
    }

    async fn wake(&mut self, queue: &mut mpsc::UnboundedReceiver<Input>) -> Wake {
        let rested = self.rested;
        let idle = self.idle.next_check();
        let heap = self.heap.next_check();
        let changed = match self.watches.iter_mut().map(|(_, watch)| watch.changed().boxed_local()) {
            watches if watches.len() == 0 => Either::Left(pending()),
            watches => Either::Right(select_all(watches).map(|(change, ..)| change)),
        };
        tokio::select! {
            biased;
            input = queue.recv() => Wake::Input(input),
            change = changed => Wake::Changed(change),
            // Its other end is with the services, which live as long as this.
            _ = self.pins.changed() => Wake::Pins,
            () = at(rested) => Wake::Rested,
            () = at(idle) => Wake::IdleCheck,
            () = at(heap) => Wake::HeapCheck,
        }
    }

    fn idle_check(&mut self) -> bool {
        let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) else {
            self.idle.stop();
            return false;
        };
        if self.idle.check(live.generation.calls(), self.app.settings().idle_timeout())
            && self.lifecycle.coming().is_none()
            && live.generation.retire_if_idle()
        {
            let number = live.generation.number();
            self.idle.stop();
            return self.event(Event::Idle(number));
        }
        false
    }

    /// Replaces what serves when its heap has grown above the limit.
    fn heap_check(&mut self) -> bool {
        let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) else {
            self.heap.stop();
            return false;
        };
        let limit = self.app.settings().heap_soft_limit;
        let bytes = live.generation.heap().live_bytes();
        if !self.heap.check(bytes, limit) || self.lifecycle.coming().is_some() {
            return false;
        }
        let (app, number) = (self.app.name(), live.generation.number());
        log::warn!(
            "{app}#{number} uses {bytes} bytes of heap, more than heap_soft_limit = {}: replacing it with a new \
            generation",
            limit.unwrap_or_default()
        );
        self.replaces_heap = true;
        self.next.forced = true;
        self.next.changed = Some(Instant::now());
        self.event(Event::Changed)
    }

    /// Takes note of how many of the app's generations are pinned.
    fn pins_changed(&mut self) -> bool {
        let before = self.lifecycle.phase();
        let finished = self.event(Event::Pinned(self.services.pins().of(self.app.name())));
        if before == Phase::Blocked && self.lifecycle.phase() == Phase::Cold && self.app.settings().preload {
            return self.event(Event::Wanted);
        }
        finished
    }

    fn event(&mut self, event: Event) -> bool {
        let effects = self.lifecycle.on(event, self.born.elapsed());
        let finished = effects.contains(&Effect::Finish);
        // Before those are told that wait for it: they may look at once.
        self.app.set_phase(self.lifecycle.phase(), self.lifecycle.retiring().count());
        for effect in effects {
            self.carry_out(effect);
        }
        finished
    }

    /// Has the library made ready for the call that will need it, if one will.
    fn prepare(&mut self) {
        self.next.prepared = match &self.library {
            Library::At(path) | Library::Built(path) if self.lifecycle.phase() == Phase::Cold => {
                let limit = self.app.settings().library_limit as u64;
                Some(self.services.preparer().begin(self.app.name().clone(), path.clone(), limit))
            }
            _ => None,
        };
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
