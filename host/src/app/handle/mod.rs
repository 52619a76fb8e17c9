//! An app in the registry, as the request path sees it.

mod commands;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::oneshot;

use crate::app::command::{Command, Commands};
use crate::app::lease::Lease;
use crate::app::lifecycle::Phase;
use crate::app::moved::Moved;
use crate::app::quota::QuotaLimit;
use crate::app::rate_limit::RateLimit;
use crate::app::resources::HandleResources;
use crate::app::traffic::{Traffic, TrafficCell};
use crate::app::unavailable::Unavailable;
use crate::config::{AppConfig, Instances, Isolation, Settings};
use crate::generation::handle::{Generation, InFlight};
use crate::library::content_hash::ContentHash;
use crate::observe::app_log::AppLog;
use crate::observe::events::EventKind;
use crate::observe::history::{History, Transition};
use crate::observe::logging;
use crate::observe::metrics::Metrics;
use crate::observe::trace::SpanSink;
use crate::observe::usage::Meter;
use crate::observe::version_name::{app_of, version_of};

/// One registered app.
#[derive(Debug)]
pub struct App {
    name: Arc<str>,
    settings: ArcSwap<Settings>,
    serving: ArcSwapOption<Generation>,
    commands: Commands,
    shows_details: bool,
    history: Mutex<History>,
    phase: Mutex<Phase>,
    app_log: Arc<AppLog>,
    metrics: Arc<Metrics>,
    meter: Arc<Meter>,
    rate_limit: Arc<RateLimit>,
    quota_limit: Arc<QuotaLimit>,
    spans: Option<Arc<dyn SpanSink>>,
    draining: AtomicUsize,
    moved: Moved,
    own_logger: AtomicBool,
    public_secrets: Mutex<BTreeSet<PathBuf>>,
    traffic: TrafficCell,
    beside: Option<Beside>,
    /// Whether it is a version that no longer serves.
    has_left: AtomicBool,
    /// Whether the host is in a fleet.
    in_fleet: bool,
    is_elsewhere: bool,
    lease: Lease,
}

/// What an app has that runs a version beside the current one.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    /// The version's library.
    pub(crate) library: PathBuf,
    /// How fast the app with all its versions takes requests from outside.
    pub(crate) rate_limit: Arc<RateLimit>,
    /// Whether a quota of the app is used up.
    pub(crate) quota_limit: Arc<QuotaLimit>,
    /// What has the current version.
    pub(crate) current: Weak<App>,
}

impl App {
    pub(crate) fn new(
        config: &AppConfig,
        commands: Commands,
        shared: HandleResources<'_>,
        beside: Option<Beside>,
    ) -> Self {
        let name: Arc<str> = config.name.as_str().into();
        let app_log = Arc::new(AppLog::new(name.clone(), shared.events.clone()));
        app_log.configure(&config.settings);
        let metrics = Arc::<Metrics>::default();
        Self {
            app_log,
            meter: shared.usage.meter(app_of(&name).into(), metrics.clone()),
            metrics,
            name,
            settings: ArcSwap::from_pointee(config.settings.clone()),
            serving: ArcSwapOption::empty(),
            commands,
            shows_details: shared.shows_details,
            history: Mutex::default(),
            phase: Mutex::new(Phase::Cold),
            rate_limit: beside.as_ref().map_or_else(
                || Arc::new(RateLimit::new(&config.settings)),
                |beside| beside.rate_limit.clone(),
            ),
            quota_limit: beside.as_ref().map(|beside| beside.quota_limit.clone()).unwrap_or_default(),
            spans: shared.spans.cloned(),
            draining: AtomicUsize::new(0),
            moved: Moved::default(),
            own_logger: AtomicBool::new(false),
            public_secrets: Mutex::default(),
            traffic: TrafficCell::default(),
            beside,
            has_left: AtomicBool::new(false),
            in_fleet: shared.in_fleet,
            is_elsewhere: shared.is_elsewhere,
            lease: Lease::default(),
        }
    }

    /// The name of the app in apps.json; of a version that serves beside the current one, that with the version.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The name of the app in apps.json, also of a version.
    pub(crate) fn registered_name(&self) -> &str {
        app_of(&self.name)
    }

    /// Whether it stands for an app that other hosts of the fleet have.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    /// The version's id, if it serves beside the current one.
    pub(crate) fn version(&self) -> Option<&str> {
        version_of(&self.name)
    }

    /// The library, if it is not the one that apps.json leads to.
    pub(crate) fn own_library(&self) -> Option<&Path> {
        self.beside.as_ref().map(|beside| beside.library.as_path())
    }

    /// How its requests are split between versions, if they are.
    pub(crate) fn traffic(&self) -> Option<Arc<Traffic>> {
        self.traffic.get()
    }

    /// Splits its requests from now on as this; how they were split before.
    pub(crate) fn set_traffic(&self, traffic: Option<Arc<Traffic>>) -> Option<Arc<Traffic>> {
        self.traffic.set(traffic)
    }

    /// With which library it is moved to a separate process.
    pub(crate) fn moved(&self) -> &Moved {
        &self.moved
    }

    /// Whether it is known to set a logger for its `log` crate itself.
    pub(crate) fn has_own_logger(&self) -> bool {
        self.own_logger.load(Ordering::Relaxed)
    }

    /// Takes note that it sets a logger itself.
    pub(crate) fn note_own_logger(&self) {
        self.own_logger.store(true, Ordering::Relaxed);
    }

    /// Takes note that every user can read a secret of it; whether that is news.
    pub(crate) fn note_public_secret(&self, path: &Path) -> bool {
        self.public_secrets.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned())
    }

    /// Where it runs with the library that has this hash: on threads or in a process.
    pub(crate) fn isolation(&self, hash: ContentHash) -> Isolation {
        match self.settings().isolation {
            Isolation::Thread | Isolation::Auto if self.moved.contains(&hash.to_string()) => {
                Isolation::Process
            }
            Isolation::Thread | Isolation::Auto => Isolation::Thread,
            Isolation::Process => Isolation::Process,
        }
    }

    /// Its settings, as they are now.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Whether the host is in a fleet.
    pub(crate) fn is_in_fleet(&self) -> bool {
        self.in_fleet
    }

    /// Whether it may run here only with the app's lease.
    pub(crate) fn needs_lease(&self) -> bool {
        self.in_fleet && self.settings.load().instances == Instances::One
    }

    /// Whether it takes no requests here, because one host of the fleet runs it and this one does not have its lease. It costs no
    /// more than reading a setting and a clock.
    pub(crate) fn stands_by(&self) -> bool {
        self.needs_lease() && !self.lease.is_held()
    }

    /// Its lease.
    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// How long a request to it may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.settings.load().deadline()
    }

    /// How large the head of its responses may be.
    pub(crate) fn head_limit(&self) -> usize {
        self.settings.load().head_limit
    }

    /// How many requests may be in flight at once.
    pub(crate) fn max_concurrency(&self) -> Option<usize> {
        self.settings.load().max_concurrency
    }

    /// How fast it takes requests from outside.
    pub(crate) fn rate_limit(&self) -> &Arc<RateLimit> {
        &self.rate_limit
    }

    /// Whether a quota of it is used up.
    pub(crate) fn quota_limit(&self) -> &Arc<QuotaLimit> {
        &self.quota_limit
    }

    /// Where the spans of its requests go.
    pub(crate) fn spans(&self) -> Option<&Arc<dyn SpanSink>> {
        self.spans.as_ref()
    }

    /// Whether its problems contain its internal errors.
    pub(crate) fn shows_details(&self) -> bool {
        self.shows_details
    }

    /// Whether it serves, and if not, why.
    pub fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The generation that gets new requests.
    pub fn serving(&self) -> Option<Arc<Generation>> {
        self.serving.load_full()
    }

    /// The last things that happened to its generations, the oldest first.
    pub fn history(&self) -> Vec<Transition> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What it has said lately, and what went wrong with it.
    pub fn app_log(&self) -> &Arc<AppLog> {
        &self.app_log
    }

    /// What is counted of it.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What meters it.
    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// How many of its generations finish what they have.
    pub fn draining(&self) -> usize {
        self.draining.load(Ordering::Relaxed)
    }

    /// Admits one request: to the generation that serves, or to the one that this call starts.
    ///
    /// # Errors
    /// There is none: see [`Unavailable`].
    pub async fn acquire(&self) -> Result<InFlight, Unavailable> {
        loop {
            if let Some(in_flight) = self.enter() {
                return Ok(in_flight);
            }
            self.wait().await?;
        }
    }

    /// Admits one request to the generation that serves, if one does.
    pub(crate) fn enter(&self) -> Option<InFlight> {
        self.serving.load().as_ref().and_then(Generation::enter)
    }

    /// What takes the requests that have chosen a version that no longer serves; `None`: it takes them itself.
    pub(crate) fn successor(&self) -> Option<Arc<Self>> {
        let beside = self.beside.as_ref().filter(|_| self.has_left.load(Ordering::Relaxed))?;
        beside.current.upgrade()
    }

    /// Takes note that it no longer serves; whether it is a version that has a [`successor`](Self::successor) then.
    pub(crate) fn leave(&self) -> bool {
        self.has_left.store(true, Ordering::Relaxed);
        self.successor().is_some()
    }

    /// Waits until a generation serves; starts one if need be.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub(crate) async fn wait(&self) -> Result<(), Unavailable> {
        let (answer, ready) = oneshot::channel();
        if !self.commands.send(Command::Wanted(answer)) {
            return Err(Unavailable::Closing);
        }
        ready.await.unwrap_or(Err(Unavailable::Closing))
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        self.rate_limit.configure(&settings);
        self.app_log.configure(&settings);
        self.settings.store(Arc::new(settings));
    }

    pub(crate) fn set_serving(&self, generation: Option<Arc<Generation>>) {
        // It may have been told another level when it was loaded.
        if let (Some(generation), Some(level)) = (&generation, self.app_log.level()) {
            generation.set_log_level(logging::max_level(Some(level)));
        }
        self.serving.store(generation);
    }

    pub(crate) fn set_phase(&self, phase: Phase, draining: usize) {
        self.draining.store(draining, Ordering::Relaxed);
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    pub(crate) fn record(&self, transition: Transition) {
        self.app_log.tell(|| EventKind::Transition((&transition).into()));
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(transition);
    }
}
