//! What the admin API answers from, on any thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::abi::library_context;
use crate::admin::metrics::{self, Exposition, Sources};
use crate::app::handle::App;
use crate::app::pins::Pins;
use crate::app::resources::AppResources;
use crate::config::AppConfig;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::fleet::Membership;
use crate::http::ServerLimits;
use crate::http::connection::Shutdown;
use crate::library::stage::Staging;
use crate::memory::heap;
use crate::observe::certificates::Certificates;
use crate::observe::events::EventBus;
use crate::observe::faults::Faults;
#[cfg(feature = "fleet")]
use crate::observe::trace::SpanSink;
use crate::observe::unix_time::now_ms;
use crate::observe::usage::{Usage, UsageReport};
use crate::registry::Registry;

use super::model::{AppDetails, AppStatus, EffectiveConfig, HostStatus, ProcessStatus};
use super::rollout_model::Rollouts;
use super::stats::History;
use super::turns::Turns;

/// The parts of a host that its operator sees.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) events: EventBus,
    /// Not held: the folder of staged copies goes with the host, whose end does not wait for this listener's threads.
    pub(super) staging: Weak<Staging>,
    pins: Pins,
    pub(super) faults: Faults,
    pub(super) limits: ServerLimits,
    pub(super) certificates: Certificates,
    usage: Usage,
    pub(super) history: History,
    /// The last rollouts of the apps.
    pub(super) rollouts: Rollouts,
    /// Who changes the versions of an app has its turn.
    pub(super) turns: Turns,
    /// The fleet that the host is in.
    pub(super) fleet: Option<Membership>,
    /// How far the server is with its shutdown.
    pub(super) shutdown: Shutdown,
    /// Where the spans of requests go. It sends the last of them when the apps are gone, which is not to wait for commands.
    #[cfg(feature = "fleet")]
    pub(super) spans: Option<Weak<dyn SpanSink>>,
    config: PathBuf,
    started_ms: u64,
}

impl State {
    /// Those of a host that serves the registry file `config`, from now on.
    pub(crate) fn new(registry: Arc<Registry>, resources: &AppResources, config: PathBuf) -> Self {
        Self {
            registry,
            events: resources.events.clone(),
            staging: Arc::downgrade(&resources.staging),
            pins: resources.pins.clone(),
            faults: resources.faults.clone(),
            limits: ServerLimits::DEFAULT,
            certificates: Certificates::default(),
            usage: resources.usage.clone(),
            history: History::default(),
            rollouts: Rollouts::default(),
            turns: Turns::default(),
            fleet: None,
            shutdown: Shutdown::default(),
            #[cfg(feature = "fleet")]
            spans: resources.spans.as_ref().map(Arc::downgrade),
            config,
            started_ms: now_ms(),
        }
    }

    /// When this host started, in milliseconds since 1970.
    #[cfg(feature = "fleet")]
    pub(super) fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// How often an app has ended processes since then, in milliseconds since 1970.
    #[cfg(feature = "fleet")]
    pub(super) fn faults_since(&self, app: &str, since_ms: u64) -> u64 {
        self.faults.of_app(app).iter().filter(|fault| fault.at_ms >= since_ms).count() as u64
    }

    /// The registry file.
    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// With so many of the last things that happened to each app.
    pub(super) fn host(&self, history: usize) -> HostStatus {
        HostStatus {
            apps: self.apps(history),
            pinned: self.pins.list(),
            fault: self.faults.last(),
            certificates: self.certificates.list(),
            process: self.process(),
        }
    }

    fn process(&self) -> ProcessStatus {
        ProcessStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            config: self.config.display().to_string(),
            fleet: self.fleet.as_ref().map(|fleet| fleet.name().to_owned()),
            lowest_free_key: library_context::lowest_free_key(),
            heaps: heap::count(),
        }
    }

    pub(super) fn apps(&self, history: usize) -> Vec<AppStatus> {
        self.registry.apps().iter().map(|app| self.status(app, history)).collect()
    }

    fn status(&self, app: &App, history: usize) -> AppStatus {
        let kept = self.staging.upgrade().map(|staging| staging.kept(app.name())).unwrap_or_default();
        let kept = kept.iter().map(|kept| kept.hash().short()).collect();
        let rollout = self.rollouts.of(app.name());
        AppStatus::new(app, &self.registry.routes(app.name()), kept, rollout, history)
    }

    /// The app of this name.
    pub(super) fn app(&self, name: &str) -> Result<Arc<App>, Problem> {
        let found = self.registry.get(name);
        found.ok_or_else(|| Problem::new(ProblemKind::UnknownApp, self.registry.no_such_app(name)))
    }

    /// The app of this name, or a version that serves beside its current one.
    pub(super) fn app_or_version(&self, name: &str, version: Option<&str>) -> Result<Arc<App>, Problem> {
        let app = self.app(name)?;
        let Some(id) = version else { return Ok(app) };
        let traffic = app.traffic();
        let mut versions = traffic.iter().flat_map(|traffic| traffic.versions());
        let found = versions.find(|version| version.id() == id).map(|version| version.app.clone());
        found.ok_or_else(|| {
            let detail = format!("no version {id:?} of {name} serves beside the current one.");
            Problem::new(ProblemKind::NotFound, detail)
        })
    }

    pub(super) fn details(&self, name: &str) -> Result<AppDetails, Problem> {
        let (app, config) = (self.app(name)?, self.app_config(name)?);
        let mut pinned = self.pins.list();
        pinned.retain(|pinned| pinned.app == name);
        Ok(AppDetails::new(&app, &config, self.status(&app, usize::MAX), self.faults.of_app(name), pinned))
    }

    fn app_config(&self, name: &str) -> Result<AppConfig, Problem> {
        let found = self.registry.config(name);
        found.ok_or_else(|| Problem::new(ProblemKind::UnknownApp, self.registry.no_such_app(name)))
    }

    /// What apps have used in some time, in milliseconds since 1970: all apps, or this one.
    pub(super) fn usage(
        &self,
        app: Option<&str>,
        since_ms: Option<u64>,
        until_ms: Option<u64>,
    ) -> Result<UsageReport, Problem> {
        if let (Some(since), Some(until)) = (since_ms, until_ms)
            && since > until
        {
            let detail = format!("since_ms = {since} is after until_ms = {until}.");
            return Err(Problem::new(ProblemKind::BadRequest, detail));
        }
        let mut report = self.usage.report(since_ms, until_ms);
        if let Some(app) = app {
            report.retain(|name| name == app);
            // One that is no longer registered may have used something.
            if report.apps.is_empty() {
                self.app(app)?;
            }
        }
        Ok(report)
    }

    /// All counts, as text.
    pub(super) fn metrics(&self, form: Exposition) -> Result<String, std::fmt::Error> {
        let sources = Sources {
            apps: self.registry.apps_and_versions(),
            pinned: self.pins.list(),
            certificates: self.certificates.list(),
            quotas: self.registry.quotas(),
            fleet: self.fleet.as_ref().map(Membership::summary),
            requests: self.fleet.as_ref().map(|fleet| fleet.requests().all()).unwrap_or_default(),
        };
        metrics::expose(form, sources)
    }

    pub(super) fn effective_config(&self) -> EffectiveConfig {
        let apps = self.registry.apps();
        let configs: Vec<_> = apps.iter().filter_map(|app| self.registry.config(app.name())).collect();
        EffectiveConfig::new(&self.config, &configs, &self.limits)
    }
}
