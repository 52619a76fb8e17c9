//! What carries an app through its life: one task for each app, which turns what happens into events of the
//! [`Lifecycle`] and carries its effects out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{Either, LocalBoxFuture, pending, select_all};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::app::{App, Unavailable};
use crate::bring::{self, BringError, Live, Plan};
use crate::config::{AppConfig, Settings};
use crate::courier::Courier;
use crate::history::{State, Transition};
use crate::idle::IdleWatch;
use crate::lifecycle::{Cause, Effect, Event, Lifecycle, Number, Phase, RestartPolicy};
use crate::services::{Library, Services};
use crate::source::Source;
use crate::stage::{ContentHash, Kept};
use crate::take_down;
use crate::watch::{Change, FileWatch};

/// What a driver is told. One queue for all, so that what happened first is seen first: a worker's end before the
/// calls that found its port closed.
#[derive(Debug)]
pub(crate) enum Input {
    /// A call found nothing that serves.
    Wanted(oneshot::Sender<Result<(), Unavailable>>),
    /// Someone asks for another generation, and for the number of the one that serves then.
    Reload(Reload, oneshot::Sender<Result<Number, String>>),
    /// A build has made another library, from what was changed at this time, or it failed.
    Rebuilt(Instant),
    /// The registry has a new entry for the app.
    Configure(Box<AppConfig>),
    /// The app is to be taken down.
    Close(oneshot::Sender<()>),
    /// The generation that serves is to get no request until the next one is ready; answered when that is so.
    Hold(oneshot::Sender<()>),
    /// A generation has started.
    Ready(Box<Live>),
    /// A generation did not come to serve.
    NotReady(Number, BringError),
    /// A worker has come back from the app's code.
    Ended(Number, String),
    /// A retired generation is unloaded or pinned.
    Retired(Number),
    /// This generation is to go, as there is room for one library only and the next one needs it.
    GiveWay(Number),
}

/// Which library a reload that was asked for brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// The one on disk, also when it is what serves.
    Current,
    /// The one before, of those that were kept.
    Previous,
}

/// Registers an app: makes its handle and starts its driver on this thread. `courier` brings its requests to others.
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet).
pub(crate) fn register(config: &AppConfig, services: Rc<Services>, courier: Courier) -> Arc<App> {
    let (inputs, queue) = mpsc::unbounded_channel();
    let app = Arc::new(App::new(config, inputs.clone(), services.shows_details()));
    let library = services.library(&config.path);
    let watches = watches(&services, &library, &config.name);
    let driver = Driver {
        app: app.clone(),
        services,
        courier,
        path: config.path.clone(),
        library,
        watches,
        inputs,
        lifecycle: Lifecycle::new(policy(&config.settings)),
        live: HashMap::new(),
        waiting: Vec::new(),
        closing: Vec::new(),
        changed: None,
        forced: false,
        held: false,
        kept: None,
        last_hash: None,
        asked: Vec::new(),
        ended_early: None,
        rested: None,
        last_error: String::new(),
        unusable: false,
        idle: IdleWatch::default(),
        born: Instant::now(),
    };
    tokio::task::spawn_local(driver.run(queue));
    if config.settings.preload {
        app.preload();
    }
    app
}

/// What tells that the library may be another one.
fn watches(services: &Services, library: &Library, app: &str) -> Vec<FileWatch> {
    let Library::At(path) = library else { return Vec::new() };
    Source::locate(path, app).watch().iter().map(|path| services.watcher().watch_file(path)).collect()
}

fn policy(settings: &Settings) -> RestartPolicy {
    RestartPolicy { max_restarts: settings.max_restarts as usize, ..RestartPolicy::default() }
}

struct Driver {
    app: Arc<App>,
    services: Rc<Services>,
    courier: Courier,
    /// The `path` of its entry in the registry.
    path: PathBuf,
    library: Library,
    watches: Vec<FileWatch>,
    inputs: mpsc::UnboundedSender<Input>,
    lifecycle: Lifecycle,
    live: HashMap<Number, Live>,
    waiting: Vec<oneshot::Sender<Result<(), Unavailable>>>,
    closing: Vec<oneshot::Sender<()>>,
    /// When the change was noticed that the next generation brings.
    changed: Option<Instant>,
    /// Whether the next generation is brought also if the library is the one that serves.
    forced: bool,
    /// Whether what serves gets no requests, because its state is handed over.
    held: bool,
    /// The library that the next generation brings, in the place of the one on disk.
    kept: Option<Kept>,
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
    born: Instant,
}

enum Wake {
    Input(Option<Input>),
    Changed(Change),
    Rested,
    IdleCheck,
}

impl Driver {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Input>) {
        loop {
            let finished = match self.next(&mut queue).await {
                Wake::Input(Some(input)) => self.input(input),
                Wake::Input(None) => true,
                Wake::Changed(change) => self.changed(&change),
                Wake::Rested => {
                    self.rested = None;
                    self.event(Event::Rested)
                }
                Wake::IdleCheck => self.idle_check(),
            };
            if finished {
                break;
            }
        }
        for closing in self.closing.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = closing.send(());
        }
    }

    async fn next(&mut self, queue: &mut mpsc::UnboundedReceiver<Input>) -> Wake {
        let rested = self.rested;
        let idle = self.idle.next_check();
        let changed = match self.watches.iter_mut().map(|watch| watch.changed().boxed_local()) {
            watches if watches.len() == 0 => Either::Left(pending()),
            watches => Either::Right(select_all(watches).map(|(change, ..)| change)),
        };
        tokio::select! {
            biased;
            input = queue.recv() => Wake::Input(input),
            change = changed => Wake::Changed(change),
            () = at(rested) => Wake::Rested,
            () = at(idle) => Wake::IdleCheck,
        }
    }

    /// Takes one input; whether the driver has nothing more to do.
    fn input(&mut self, input: Input) -> bool {
        match input {
            Input::Wanted(answer) => {
                self.waiting.push(answer);
                // While the state is handed over, what serves is on hold: calls wait for what comes of it.
                if self.held { false } else { self.event(Event::Wanted) }
            }
            Input::Hold(done) => {
                self.hold();
                let _ = done.send(());
                false
            }
            Input::Reload(which, asked) => self.reload(which, asked),
            Input::Rebuilt(since) => {
                self.find_library();
                self.replaced(since)
            }
            Input::Configure(config) => self.configure(&config),
            Input::Close(done) => {
                self.closing.push(done);
                self.watches.clear();
                self.event(Event::Closed)
            }
            Input::Ready(live) => self.ready(*live),
            Input::NotReady(number, error) => self.not_ready(number, &error),
            Input::Ended(number, reason) => {
                if self.lifecycle.serving() == Some(number) {
                    log::error!("{}#{number}: {reason}", self.app.name());
                    self.last_error = reason;
                    self.unusable = false;
                } else if self.lifecycle.coming() == Some(number) {
                    self.ended_early = Some((number, reason));
                }
                self.event(Event::Ended(number))
            }
            Input::Retired(number) => self.event(Event::Retired(number)),
            Input::GiveWay(number) => {
                self.held = false;
                // As if it were idle: it goes without having crashed, and calls wait for the one that is coming.
                self.event(Event::Idle(number))
            }
        }
    }

    fn reload(&mut self, which: Reload, asked: oneshot::Sender<Result<Number, String>>) -> bool {
        if which == Reload::Previous {
            let kept = self.services.staging().kept(self.app.name());
            let previous = kept.into_iter().find(|kept| Some(kept.hash()) != self.last_hash);
            if previous.is_none() {
                // Whoever asked may have left.
                let _ = asked.send(Err("no earlier library is kept (see the setting `keep`)".to_owned()));
                return false;
            }
            self.kept = previous;
        }
        self.asked.push(asked);
        self.forced = true;
        self.changed = Some(Instant::now());
        self.event(Event::Changed);
        self.lifecycle.phase() == Phase::Cold && self.event(Event::Wanted)
    }

    fn answer_asked(&mut self, answer: &Result<Number, String>) {
        // A generation that was begun before the question is no answer to it.
        if self.lifecycle.coming().is_none() {
            for asked in self.asked.drain(..) {
                let _ = asked.send(answer.clone());
            }
        }
    }

    fn configure(&mut self, config: &AppConfig) -> bool {
        self.app.set_settings(config.settings.clone());
        self.lifecycle.set_policy(policy(&config.settings));
        self.path.clone_from(&config.path);
        self.find_library();
        self.forced = true;
        self.changed = Some(Instant::now());
        self.event(Event::Changed);
        if config.settings.preload { self.event(Event::Wanted) } else { false }
    }

    /// Asks again where the library is.
    fn find_library(&mut self) {
        self.library = self.services.library(&self.path);
        self.watches = watches(&self.services, &self.library, self.app.name());
    }

    fn changed(&mut self, change: &Change) -> bool {
        // A library that is gone is no reason to stop what serves; it is usually about to be written again.
        if !change.is_present() {
            log::info!("{}: the library was removed; what is loaded goes on", self.app.name());
            return false;
        }
        self.replaced(change.noticed)
    }

    /// There is another library, made from what was changed at `since`.
    fn replaced(&mut self, since: Instant) -> bool {
        self.changed = Some(since);
        self.kept = None;
        self.event(Event::Changed);
        if self.app.settings().preload && self.lifecycle.phase() == Phase::Cold {
            return self.event(Event::Wanted);
        }
        false
    }

    fn hold(&mut self) {
        if let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) {
            self.held = true;
            live.generation.retire();
            self.app.set_serving(None);
        }
    }

    /// What was on hold serves again, because the next generation did not come.
    fn resume(&mut self) {
        if std::mem::take(&mut self.held)
            && let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number))
        {
            live.generation.resume();
            self.app.set_serving(Some(live.generation.clone()));
            self.answer(&Ok(()));
        }
    }

    fn ready(&mut self, live: Live) -> bool {
        let (number, hash) = (live.generation.number(), live.hash);
        self.live.insert(number, live);
        // Its workers may have ended right after they said that they are ready.
        let ended = self.ended_early.take_if(|(ended, _)| *ended == number);
        if let Some((_, reason)) = ended {
            self.resume();
            self.unusable = false;
            self.refused(number, reason.clone());
            let finished = self.event(Event::Ready(number));
            self.answer_asked(&Err(reason));
            return finished;
        }
        self.held = false;
        self.idle.start(self.app.settings().idle_timeout());
        self.last_hash = Some(hash);
        let finished = self.event(Event::Ready(number));
        self.answer_asked(&Ok(number));
        finished
    }

    /// Reports that a generation did not come to serve.
    fn refused(&mut self, number: Number, error: String) {
        let stays = self
            .lifecycle
            .serving()
            .map_or(String::new(), |serving| format!("; generation {serving} goes on"));
        log::error!("{}: generation {number} did not come to serve: {error}{stays}", self.app.name());
        self.last_error.clone_from(&error);
        self.record(number, State::Refused, error);
    }

    fn not_ready(&mut self, number: Number, error: &BringError) -> bool {
        self.resume();
        let cause = error.cause();
        if cause == Cause::Unchanged {
            log::debug!("{}: the library is what serves already", self.app.name());
        } else if matches!(error, BringError::Build(_)) {
            // The compiler has said it already.
            self.last_error = error.to_string();
            self.unusable = true;
        } else {
            self.unusable = cause == Cause::Unusable;
            self.refused(number, error.to_string());
        }
        let finished = self.event(Event::NotReady(number, cause));
        self.answer_asked(&Err(error.to_string()));
        finished
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

    fn event(&mut self, event: Event) -> bool {
        let effects = self.lifecycle.on(event, self.born.elapsed());
        let finished = effects.contains(&Effect::Finish);
        for effect in effects {
            self.carry_out(effect);
        }
        self.app.set_phase(self.lifecycle.phase());
        finished
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Bring(number) => self.bring(number),
            Effect::Serve(number) => self.serve(number),
            Effect::Withdraw => self.app.set_serving(None),
            Effect::Retire(number) => self.retire(number),
            Effect::Refuse => {
                let why = self.unavailable();
                self.answer(&Err(why));
            }
            Effect::Rest(pause) => self.rested = Some(Instant::now() + pause),
            Effect::Finish => {}
        }
    }

    fn bring(&mut self, number: Number) {
        let serving = self.lifecycle.serving().and_then(|serving| self.live.get(&serving));
        let inputs = self.inputs.clone();
        let plan = Plan {
            app: self.app.clone(),
            number,
            library: self.library.clone(),
            kept: self.kept.take(),
            noticed: self.changed.take(),
            unless: if std::mem::take(&mut self.forced) { None } else { serving.map(|live| live.hash) },
            predecessor: serving.map(|live| live.generation.clone()),
            courier: self.courier.clone(),
            hold: self.hold_request(),
            on_exit: Arc::new(move |reason| {
                // A driver that has ended waits for no worker.
                let _ = inputs.send(Input::Ended(number, reason));
            }),
            give_way: self.way_request(),
        };
        let inputs = self.inputs.clone();
        let services = self.services.clone();
        tokio::task::spawn_local(async move {
            let input = match bring::bring(&services, plan).await {
                Ok(live) => Input::Ready(Box::new(live)),
                Err(error) => Input::NotReady(number, error),
            };
            let _ = inputs.send(input);
        });
    }

    /// What a bring calls to have the predecessor taken down.
    fn way_request(&self) -> Box<dyn Fn()> {
        let (inputs, before) = (self.inputs.clone(), self.lifecycle.serving());
        Box::new(move || {
            if let Some(before) = before {
                // A driver that has ended has taken everything down.
                let _ = inputs.send(Input::GiveWay(before));
            }
        })
    }

    /// What a bring calls to have the predecessor held.
    fn hold_request(&self) -> Box<dyn Fn() -> LocalBoxFuture<'static, ()>> {
        let inputs = self.inputs.clone();
        Box::new(move || {
            let (done, held) = oneshot::channel();
            let sent = inputs.send(Input::Hold(done));
            async move {
                // A driver that has ended serves nothing.
                if sent.is_ok() {
                    let _ = held.await;
                }
            }
            .boxed_local()
        })
    }

    fn serve(&mut self, number: Number) {
        if let Some(live) = self.live.get(&number)
            && self.app.serving().is_none_or(|serving| serving.number() != number)
        {
            self.app.set_serving(Some(live.generation.clone()));
            let reason = live.generation.noticed().map_or_else(
                || "it is ready".to_owned(),
                |noticed| format!("it is ready, {:.1} ms after the change", millis(noticed.elapsed())),
            );
            log::info!("{}#{number} serves: {reason}", self.app.name());
            self.record(number, State::Serving, reason);
        }
        self.answer(&Ok(()));
    }

    fn retire(&mut self, number: Number) {
        let Some(live) = self.live.remove(&number) else { return };
        let (app, inputs, services) = (self.app.clone(), self.inputs.clone(), self.services.clone());
        live.generation.retire();
        tokio::task::spawn_local(async move {
            take_down::take_down(&services, &app, live).await;
            let _ = inputs.send(Input::Retired(number));
        });
    }

    fn answer(&mut self, answer: &Result<(), Unavailable>) {
        for waiting in self.waiting.drain(..) {
            // A client that has left does not wait any more.
            let _ = waiting.send(answer.clone());
        }
    }

    fn unavailable(&self) -> Unavailable {
        match self.lifecycle.phase() {
            Phase::Closing => Unavailable::Closing,
            _ if self.unusable => Unavailable::Unusable(self.last_error.clone()),
            _ => Unavailable::Resting {
                reason: self.last_error.clone(),
                retry_after: self
                    .rested
                    .map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now())),
            },
        }
    }

    fn record(&self, generation: Number, state: State, reason: String) {
        self.app.record(Transition { at: SystemTime::now(), generation, state, reason });
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => pending().await,
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
