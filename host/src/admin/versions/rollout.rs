//! Rollouts: a version gets its clients step by step, while it is compared with the current one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::deployer::{Deployer, blocking};
use super::refusal::Refusal;
use crate::admin::invoke::invoke;
use crate::admin::model::Invocation;
use crate::admin::rollout_model::{RolloutState, RolloutStatus};
use crate::app::handle::App;
use crate::config::{Instances, RolloutSettings, SLOTS};
use crate::deploy::{Rollout, RolloutEnd, Version, WantedShare};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::entries::TrafficEntry;
use crate::observe::events::EventKind;
use crate::observe::unix_time::now_ms;
use crate::rollout::{Counts, Judge, Tolerance};

/// How often the versions are compared.
pub(in crate::admin) const TICK: Duration = Duration::from_millis(500);

impl Deployer {
    /// Begins to roll a version out, if its settings say so and it can serve beside the current one; `None`: it is to be promoted
    /// at once. Its caller has the turn.
    pub(super) async fn begin_rollout(
        self: &Arc<Self>,
        app: &str,
        version: &Version,
    ) -> Result<Option<RolloutStatus>, Problem> {
        let (this, name, wanted) = (self.clone(), app.to_owned(), version.clone());
        let config = blocking(move || Ok(this.folder.check(&name, &wanted.entry)?)).await?;
        let (Some(settings), Some(handle)) = (config.settings.rollout, self.registry.get(app)) else {
            return Ok(None);
        };
        if config.settings.instances == Instances::One {
            log::info!(
                "{app}: the version {} is promoted at once, as only one generation can run",
                version.id
            );
            return Ok(None);
        }
        let index = self.index(app).await?;
        if index.current.is_none() || index.current.as_ref() == Some(&version.id) {
            return Ok(None);
        }
        if let Err(problem) = self.check_can_split(&handle).await {
            log::info!("{app}: the version {} is promoted at once: {problem}", version.id);
            return Ok(None);
        }
        match self.split(&handle, &index, &[share(&version.id, 0.0)]).await {
            Ok(()) => {}
            Err(Refusal::Saves(why)) => {
                log::info!("{app}: the version {} is promoted at once: {why}", version.id);
                return Ok(None);
            }
            Err(Refusal::Other(problem)) => {
                self.note_failure(app, &version.id, &problem.to_string(), false).await?;
                return Err(problem);
            }
        }
        if let Err(reason) = self.check_answers(&handle, &version.id, &settings).await {
            self.leave_beside(app, &[]).await?;
            self.note_failure(app, &version.id, &reason, true).await?;
            let detail = format!("the version {} of {app} gets no clients: {reason}.", version.id);
            return Err(Problem::new(ProblemKind::Conflict, detail));
        }
        let rollout = Rollout { version: version.id.clone(), started_ms: now_ms(), step: 0, end: None };
        let status = self.run_rollout(&handle, rollout, settings).await?;
        Ok(Some(status))
    }

    /// Requests that a version must answer before it gets clients.
    async fn check_answers(
        &self,
        app: &App,
        version: &str,
        settings: &RolloutSettings,
    ) -> Result<(), String> {
        let traffic = app.traffic();
        let versions = traffic.iter().flat_map(|traffic| traffic.versions());
        let Some(beside) = versions.into_iter().find(|beside| beside.id() == version) else {
            return Err("it no longer serves".to_owned());
        };
        for path in &settings.checks {
            let invocation = Invocation::get(path);
            let status = match invoke(&beside.app, &invocation).await {
                Ok(invoked) => invoked.status,
                Err(problem) => problem.kind().status(),
            };
            if status >= 400 {
                return Err(format!("its check {path} was answered with {status}"));
            }
        }
        Ok(())
    }

    /// Begins the step of a rollout, and compares from then on.
    pub(super) async fn run_rollout(
        self: &Arc<Self>,
        app: &Arc<App>,
        rollout: Rollout,
        settings: RolloutSettings,
    ) -> Result<RolloutStatus, Problem> {
        let status = RolloutStatus::running(&rollout, settings.steps.clone());
        self.rollouts.set(app.name(), status.clone());
        self.begin_step(app, &rollout, &settings).await?;
        let comparing = self.clone().compare(app.clone(), rollout, settings);
        // The host that replaces this one compares from then on.
        actix_web::rt::spawn(self.ended.clone().run_until_cancelled_owned(comparing));
        Ok(status)
    }

    /// Gives a version the clients of a step. Its caller has the turn.
    async fn begin_step(
        self: &Arc<Self>,
        app: &Arc<App>,
        rollout: &Rollout,
        settings: &RolloutSettings,
    ) -> Result<(), Problem> {
        let (this, name, noted) = (self.clone(), app.name().clone(), rollout.clone());
        blocking(move || this.versions.note_rollout(&name, noted)).await?;
        let percent = settings.steps.get(rollout.step).copied().unwrap_or_default();
        let index = self.index(app.name()).await?;
        Ok(self.split(app, &index, &[share(&rollout.version, percent)]).await?)
    }

    /// Compares the versions until the rollout has ended.
    async fn compare(self: Arc<Self>, app: Arc<App>, mut rollout: Rollout, settings: RolloutSettings) {
        let tolerance = Tolerance { error_rise: settings.max_error_rise, p95_rise: settings.max_p95_rise };
        let mut judge = Judge::new(tolerance);
        let beside = |app: &App| {
            let traffic = app.traffic()?;
            let version = traffic.versions().iter().find(|version| version.id() == rollout.version)?;
            Some(version.app.clone())
        };
        let Some(version) = beside(&app) else { return };
        let (mut current_before, mut new_before) = (counts(&app), counts(&version));
        let mut since = Instant::now();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !self.registry.get(app.name()).is_some_and(|registered| Arc::ptr_eq(&registered, &app)) {
                self.rollouts
                    .update(app.name(), rollout.started_ms, |status| status.abort("the app was removed"));
                return;
            }
            let (current, new) = (counts(&app), counts(&version));
            judge.observe(&current.since(&current_before), &new.since(&new_before));
            judge.observe_heaps(heap(&app), heap(&version));
            (current_before, new_before) = (current, new);
            let wait = waits(&judge, since.elapsed(), &settings);
            let is_running = self.rollouts.update(app.name(), rollout.started_ms, |status| {
                status.compared(&judge.comparison());
                status.reason.clone_from(&wait);
                status.step = rollout.step + 1;
            });
            if !is_running {
                return;
            }
            if let Some(reason) = judge.rejects() {
                return self.abort_rollout(&app, &rollout, reason, true).await;
            }
            if wait.is_some() {
                continue;
            }
            let turn = self.turn(app.name());
            let _turn = turn.lock().await;
            if !self.rollouts.update(app.name(), rollout.started_ms, |_| ()) {
                return;
            }
            rollout.step += 1;
            if rollout.step == settings.steps.len() {
                return self.finish_rollout(&app, &rollout, &settings).await;
            }
            if let Err(problem) = self.begin_step(&app, &rollout, &settings).await {
                log::error!("{}: cannot begin the next step of the rollout: {problem}", app.name());
                drop(_turn);
                return self.abort_rollout(&app, &rollout, problem.to_string(), false).await;
            }
            judge.begin_step();
            since = Instant::now();
        }
    }

    /// Takes the clients from a version at once; with `is_held`, it is not promoted again until someone asks for it.
    pub(super) async fn abort_rollout(
        self: &Arc<Self>,
        app: &Arc<App>,
        rollout: &Rollout,
        reason: String,
        is_held: bool,
    ) {
        let is_running = self.rollouts.update(app.name(), rollout.started_ms, |status| {
            status.abort(&reason);
        });
        if !is_running {
            return;
        }
        // Before anything that waits.
        self.publish(app, Vec::new()).await;
        log::warn!("{}: the rollout of the version {} is aborted: {reason}", app.name(), rollout.version);
        let what = format!("the rollout of {} is aborted: {reason}", rollout.version);
        app.app_log().tell(|| EventKind::Traffic(TrafficEntry { at_ms: now_ms(), what }));
        let turn = self.turn(app.name());
        let _turn = turn.lock().await;
        let end = RolloutEnd { at_ms: now_ms(), aborted: Some(reason.clone()) };
        if let Err(problem) = self.note_end(app, rollout, end, Some(reason), is_held).await {
            log::error!("{}: cannot take note of the aborted rollout: {problem}", app.name());
        }
    }

    /// Aborts the rollout that is under way, and leaves the traffic as it is. Its caller has the turn.
    pub(super) async fn cancel_rollout(self: &Arc<Self>, app: &str, reason: &str) -> Result<(), Problem> {
        let (handle, index) = (self.app(app)?, self.index(app).await?);
        let Some(rollout) = index.rollout.filter(Rollout::is_running) else { return Ok(()) };
        self.rollouts.update(app, rollout.started_ms, |status| status.abort(reason));
        log::info!("{app}: the rollout of the version {} is aborted: {reason}", rollout.version);
        let end = RolloutEnd { at_ms: now_ms(), aborted: Some(reason.to_owned()) };
        self.note_end(&handle, &rollout, end, Some(reason.to_owned()), false).await
    }

    pub(super) async fn note_end(
        self: &Arc<Self>,
        app: &App,
        rollout: &Rollout,
        end: RolloutEnd,
        failure: Option<String>,
        is_held: bool,
    ) -> Result<(), Problem> {
        let keep = app.settings().keep;
        let (this, name) = (self.clone(), app.name().clone());
        let ended = Rollout { end: Some(end), ..rollout.clone() };
        let id = rollout.version.clone();
        blocking(move || {
            this.versions.note_rollout(&name, ended)?;
            if let Some(failure) = failure {
                this.versions.split(&name, Vec::new(), keep)?;
                this.versions.failed(&name, &id, &failure, is_held, keep)?;
            }
            Ok(())
        })
        .await
    }

    /// Makes the version the current one. Its caller has the turn.
    async fn finish_rollout(self: &Arc<Self>, app: &Arc<App>, rollout: &Rollout, settings: &RolloutSettings) {
        let finished = async {
            let index = self.index(app.name()).await?;
            let version = index.find(app.name(), &rollout.version)?.clone();
            let warm = self.warm_up(app, &index, settings).await;
            self.promote_version(app.name(), version, warm).await?;
            let end = RolloutEnd { at_ms: now_ms(), aborted: None };
            self.note_end(app, rollout, end, None, false).await
        };
        let done = finished.await;
        self.rollouts.update(app.name(), rollout.started_ms, |status| {
            status.ended_ms = Some(now_ms());
            (status.state, status.reason) = match &done {
                Ok(()) => (RolloutState::Promoted, None),
                Err(problem) => (RolloutState::Aborted, Some(problem.to_string())),
            };
        });
        match done {
            Ok(()) => {
                log::info!("{}: the rollout of the version {} is complete", app.name(), rollout.version)
            }
            Err(problem) => {
                log::error!("{}: the version {} cannot be promoted: {problem}", app.name(), rollout.version);
            }
        }
    }
}

/// A share without a preview.
pub(super) fn share(version: &str, percent: f64) -> WantedShare {
    let slots = (percent * f64::from(SLOTS) / 100.0).round() as u16;
    WantedShare { version: version.to_owned(), slots, is_open: false, until_ms: None }
}

/// What a version has done since it was registered.
fn counts(app: &App) -> Counts {
    let metrics = app.metrics();
    let responses = metrics.responses();
    Counts {
        requests: responses.iter().sum(),
        failures: responses[4],
        panics: app.app_log().panic_count(),
        worker_ends: metrics.worker_ends.get(),
        // Without the time that a request waits for its worker to wake up, which is longer the fewer clients a version has.
        times: metrics.handler.snapshot(),
    }
}

/// The bytes in the heap of what serves.
fn heap(app: &App) -> u64 {
    app.serving().map_or(0, |serving| serving.heap().live)
}

/// What a step waits for, if it does.
fn waits(judge: &Judge, elapsed: Duration, settings: &RolloutSettings) -> Option<String> {
    let requests = judge.comparison().new.requests;
    if requests < settings.min_requests {
        return Some(format!(
            "no verdict yet: the version has answered {requests} of {} requests (min_requests)",
            settings.min_requests
        ));
    }
    let left = settings.hold().checked_sub(elapsed).filter(|left| !left.is_zero())?;
    Some(format!("the step lasts {} s more (hold_ms)", left.as_secs() + 1))
}
