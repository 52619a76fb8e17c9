//! Splitting the requests to an app between its current version and those beside it.

use std::sync::Arc;

use super::deployer::{Deployer, blocking};
use super::promotion::{carried_out, under_way};
use super::refusal::Refusal;
use crate::admin::traffic_model::{NewTraffic, TrafficStatus};
use crate::app::handle::{App, Beside};
use crate::app::traffic::VersionBeside;
use crate::config::{AppConfig, Instances, ReloadMode, SLOTS, Settings, Slots};
use crate::deploy::{Index, MAX_BESIDE, Share, Version, VersionError, WantedShare};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::entries::TrafficEntry;
use crate::observe::events::EventKind;
use crate::observe::unix_time::now_ms;
use crate::observe::version_name::version_name;

impl Deployer {
    /// How the requests to an app are split.
    pub(super) async fn traffic(self: &Arc<Self>, app: String) -> Result<TrafficStatus, Problem> {
        let handle = self.app(&app)?;
        let index = self.index(&app).await?;
        Ok(TrafficStatus::new(&handle, index.current, self.rollouts.of(&app)))
    }

    /// Splits the requests to an app, when the versions are ready for it.
    pub(super) async fn set_traffic(
        self: &Arc<Self>,
        app: String,
        new: NewTraffic,
    ) -> Result<TrafficStatus, Problem> {
        let this = self.clone();
        carried_out(async move {
            let turn = this.turn(&app);
            let _turn = turn.lock().await;
            this.notice(&app).await;
            let handle = this.app(&app)?;
            let index = this.index(&app).await?;
            let wanted = wanted(&app, &index, &new)?;
            if let Some(running) = this.rollouts.running(&app) {
                if !wanted.is_empty() {
                    return Err(under_way(&app, &running.version));
                }
                this.cancel_rollout(&app, "it was ended by hand").await?;
            }
            if !wanted.is_empty() {
                this.check_can_split(&handle).await?;
            }
            this.split(&handle, &index, &wanted).await?;
            Ok(TrafficStatus::new(&handle, index.current, this.rollouts.of(&app)))
        })
        .await
    }

    /// Leaves these versions beside the current one. Its caller has the turn.
    pub(super) async fn leave_beside(
        self: &Arc<Self>,
        app: &str,
        beside: &[WantedShare],
    ) -> Result<(), Problem> {
        let index = self.index(app).await?;
        let handle = self.app(app)?;
        if beside.is_empty() && index.beside.is_empty() && handle.traffic().is_none() {
            return Ok(());
        }
        Ok(self.split(&handle, &index, beside).await?)
    }

    /// Splits the requests to the apps as they were split when the host ended.
    pub(in crate::admin) async fn restore_all(self: Arc<Self>) {
        let restored = self.for_each_app(async |app| self.restore(&app).await).await;
        if let Err(problem) = restored {
            log::error!("all requests get the current versions: {problem}");
        }
    }

    /// Splits the requests to an app as they were split when the host ended, or the app was removed. Its caller has the turn.
    pub(super) async fn restore(self: &Arc<Self>, app: &str) {
        let Some(handle) = self.registry.get(app).filter(|handle| handle.traffic().is_none()) else { return };
        let restored = async {
            self.reject_faulted(&handle).await?;
            let index = self.index(app).await?;
            let mut versions = Vec::new();
            for share in &index.beside {
                let beside = self.register(&handle, &index, share).await?;
                versions.push(beside);
            }
            if !versions.is_empty() {
                self.publish(&handle, versions).await;
                self.expire_later(&handle, &index.beside);
            }
            let (this, name) = (self.clone(), app.to_owned());
            blocking(move || this.versions.remove_unpacked_but(&name, &index.ids_beside())).await
        };
        if let Err(problem) = restored.await {
            log::error!("{app}: all requests get the current version: {problem}");
        }
    }

    pub(super) fn app(&self, app: &str) -> Result<Arc<App>, Problem> {
        let found = self.registry.get(app);
        found.ok_or_else(|| Problem::new(ProblemKind::UnknownApp, self.registry.no_such_app(app)))
    }

    pub(super) async fn index(self: &Arc<Self>, app: &str) -> Result<Index, Problem> {
        let (this, name) = (self.clone(), app.to_owned());
        blocking(move || this.versions.index(&name)).await
    }

    /// Checks that two versions of an app can serve at once.
    pub(super) async fn check_can_split(&self, app: &App) -> Result<(), Problem> {
        let name = app.name();
        let cannot = |why: &str| {
            let detail = format!("{name} cannot be split between versions: {why}");
            Err(Problem::new(ProblemKind::Conflict, detail))
        };
        if !self.registry.config(name).is_some_and(|config| self.folder.has(&config)) {
            return cannot("its library is not in the folder of apps.json.");
        }
        if app.settings().instances == Instances::One {
            return cannot("with \"instances\": 1, only one generation of it can run.");
        }
        if app.settings().reload == ReloadMode::StopFirst {
            return cannot("with \"reload\": \"stop-first\", only one generation of it can run.");
        }
        if let Err(error) = app.start().await {
            return cannot(&format!("the current version does not start: {error}"));
        }
        if app.serving().is_some_and(|serving| serving.saves()) {
            return cannot(SAVES);
        }
        Ok(())
    }

    /// Splits the requests to an app as wanted: versions that are new get clients when all of them are ready. Its caller has the turn.
    pub(super) async fn split(
        self: &Arc<Self>,
        app: &Arc<App>,
        index: &Index,
        wanted: &[WantedShare],
    ) -> Result<(), Refusal> {
        let before = app.traffic().map(|traffic| traffic.versions().to_vec()).unwrap_or_default();
        let mut new = Vec::new();
        let done = self.try_split(app, index, wanted, &before, &mut new).await;
        if done.is_err() && !new.is_empty() {
            self.publish(app, before).await;
        }
        done
    }

    /// Splits them, where they were split as `before`; what is new is added to `new`.
    async fn try_split(
        self: &Arc<Self>,
        app: &Arc<App>,
        index: &Index,
        wanted: &[WantedShare],
        before: &[VersionBeside],
        new: &mut Vec<VersionBeside>,
    ) -> Result<(), Refusal> {
        let shares = index.shares(wanted);
        let mut versions = Vec::new();
        for share in &shares {
            let known = before.iter().find(|version| version.id() == share.version);
            versions.push(match known {
                Some(known) => {
                    VersionBeside { slots: share.slots.clone(), is_open: share.is_open, ..known.clone() }
                }
                None => {
                    let registered = self.register(app, index, share).await?;
                    new.push(VersionBeside { slots: Slots::default(), ..registered.clone() });
                    // From here on it is closed with the host.
                    self.publish(app, before.iter().chain(&*new).cloned().collect()).await;
                    registered
                }
            });
        }
        for version in &*new {
            start(app.name(), version).await?;
        }
        let keep = app.settings().keep;
        let (this, name, noted) = (self.clone(), app.name().clone(), shares.clone());
        blocking(move || this.versions.split(&name, noted, keep)).await?;
        self.publish(app, versions).await;
        self.expire_later(app, &shares);
        let said = said(app);
        log::info!("{}: {said}", app.name());
        app.app_log().tell(|| EventKind::Traffic(TrafficEntry { at_ms: now_ms(), what: said }));
        Ok(())
    }

    /// Splits the requests to an app as this from now on, and has those versions end what they do that are no longer part of it.
    pub(super) async fn publish(self: &Arc<Self>, app: &Arc<App>, versions: Vec<VersionBeside>) {
        let all: Vec<Arc<App>> = versions.iter().map(|version| version.app.clone()).collect();
        // Those of an app that is no longer registered do not start to serve.
        let gone = self.registry.set_traffic(app.name(), versions).unwrap_or(all);
        if gone.is_empty() {
            return;
        }
        let (this, app) = (self.clone(), app.clone());
        actix_web::rt::spawn(async move {
            futures_util::future::join_all(gone.iter().map(|version| version.close())).await;
            let turn = this.turn(app.name());
            let _turn = turn.lock().await;
            let (same, name) = (this.clone(), app.name().clone());
            let removed = blocking(move || {
                let index = same.versions.index(&name)?;
                same.versions.remove_unpacked_but(&name, &index.ids_beside())
            });
            if let Err(problem) = removed.await {
                log::warn!("{}: cannot remove the files of a version: {problem}", app.name());
            }
        });
    }

    /// Makes an app of a version, which gets no requests yet.
    async fn register(
        self: &Arc<Self>,
        app: &Arc<App>,
        index: &Index,
        share: &Share,
    ) -> Result<VersionBeside, Problem> {
        let version = index.find(app.name(), &share.version)?.clone();
        let (this, name) = (self.clone(), app.name().clone());
        let (library, config) = blocking(move || {
            let library = this.versions.unpack(&name, &version)?;
            Ok((library, this.config_beside(&name, &version)?))
        })
        .await?;
        let (rate_limit, quota_limit) = (app.rate_limit().clone(), app.quota_limit().clone());
        let beside = Beside { library, rate_limit, quota_limit, current: Arc::downgrade(app) };
        let registered = self.registry.register_version(config, beside).await;
        let registered =
            registered.ok_or_else(|| Problem::new(ProblemKind::Unavailable, "the host is shutting down."))?;
        Ok(VersionBeside { app: registered, slots: share.slots.clone(), is_open: share.is_open })
    }

    /// The configuration of what runs a version beside the current one.
    fn config_beside(&self, app: &str, version: &Version) -> Result<AppConfig, VersionError> {
        let config = self.folder.check(app, &version.entry)?;
        Ok(AppConfig {
            id: None,
            name: version_name(app, &version.id),
            routes: Vec::new(),
            // What it would go back to are other versions.
            settings: Settings { keep: 0, ..config.settings },
            ..config
        })
    }
}

const SAVES: &str = "it keeps its state across versions (`on_save`), and two versions would each have another state. Promote \
    the version instead: it gets the state.";

/// Starts a version that is new.
async fn start(app: &str, version: &VersionBeside) -> Result<(), Refusal> {
    let id = version.id();
    if let Err(error) = version.app.start().await {
        let detail = format!("the version {id} of {app} does not start: {error}");
        return Err(Problem::new(ProblemKind::Conflict, detail).into());
    }
    if version.app.serving().is_some_and(|serving| serving.saves()) {
        let detail = format!("the version {id} of {app} cannot serve beside another one: {SAVES}");
        return Err(Refusal::Saves(detail));
    }
    Ok(())
}

/// Checks how the requests are to be split.
fn wanted(app: &str, index: &Index, new: &NewTraffic) -> Result<Vec<WantedShare>, Problem> {
    let invalid = |detail: String| Err(Problem::new(ProblemKind::BadRequest, detail));
    let mut wanted = Vec::<WantedShare>::new();
    for new in &new.versions {
        let version = index.find(app, &new.version)?;
        let id = &version.id;
        if index.current.as_ref() == Some(id) {
            return invalid(format!(
                "{id} is the current version of {app}, which gets the clients that no other version gets."
            ));
        }
        if wanted.iter().any(|other| other.version == *id) {
            return invalid(format!("the version {id} of {app} is named twice."));
        }
        let Some(slots) = new.slots() else {
            return invalid(format!(
                "invalid weight {} of {id}: expected a percentage from 0 to 100 with at most two decimals.",
                new.weight
            ));
        };
        wanted.push(WantedShare { version: id.clone(), slots, is_open: new.preview, until_ms: None });
    }
    if wanted.len() > MAX_BESIDE {
        return invalid(format!(
            "too many versions beside the current one: found {}, the limit is {MAX_BESIDE} (versions_beside).",
            wanted.len()
        ));
    }
    if wanted.iter().map(|wanted| u32::from(wanted.slots)).sum::<u32>() > u32::from(SLOTS) {
        return invalid("the weights are more than 100 percent together.".to_owned());
    }
    Ok(wanted)
}

/// How the requests to an app are split, in a line.
fn said(app: &App) -> String {
    let status = TrafficStatus::new(app, None, None);
    if status.versions.is_empty() {
        return "the current version gets all requests".to_owned();
    }
    let versions =
        status.versions.iter().map(|version| format!(", {} for {} %", version.version, version.weight));
    format!("the current version serves {} % of the clients{}", status.weight, versions.collect::<String>())
}
