//! Rollouts that the end of the host has interrupted.

use std::sync::Arc;

use super::deployer::{Deployer, blocking};
use crate::admin::rollout_model::RolloutStatus;
use crate::app::handle::App;
use crate::config::RolloutSettings;
use crate::deploy::{Index, Rollout, RolloutEnd};
use crate::dispatch::problem::Problem;
use crate::observe::unix_time::now_ms;
use crate::observe::version_name::version_name;

impl Deployer {
    /// Continues them.
    pub(super) async fn resume_rollouts(self: &Arc<Self>) {
        let resumed = self.for_each_app(async |app| self.resume_rollout(&app).await).await;
        if let Err(problem) = resumed {
            log::error!("cannot continue rollouts: {problem}");
        }
    }

    /// Continues that of an app with the step that it was in. Its caller has the turn.
    async fn resume_rollout(self: &Arc<Self>, app: &str) {
        let resumed = async {
            let handle = self.app(app)?;
            self.reject_faulted(&handle).await?;
            let index = self.index(app).await?;
            let Some((rollout, settings)) = self.interrupted(app, &index).await? else { return Ok(()) };
            self.run_rollout(&handle, rollout, settings).await.map(drop)
        };
        if let Err(problem) = resumed.await {
            log::error!("{app}: cannot continue the rollout: {problem}");
        }
    }

    /// Aborts that of an app, if it was its version that ended the host, and holds the version. Its caller has the turn.
    pub(super) async fn reject_faulted(self: &Arc<Self>, app: &App) -> Result<(), Problem> {
        let index = self.index(app.name()).await?;
        let Some((rollout, settings)) = self.interrupted(app.name(), &index).await? else { return Ok(()) };
        let faults = self.faults.of_app(&version_name(app.name(), &rollout.version));
        let mut faults = faults.into_iter();
        let fault = faults.rfind(|fault| !fault.own_process && fault.at_ms >= rollout.started_ms);
        let Some(fault) = fault else { return Ok(()) };
        let reason = fault.summary();
        log::warn!("{}: the rollout of the version {} is aborted: {reason}", app.name(), rollout.version);
        let mut status = RolloutStatus::running(&rollout, settings.steps);
        status.abort(&reason);
        self.rollouts.set(app.name(), status);
        let end = RolloutEnd { at_ms: now_ms(), aborted: Some(reason.clone()) };
        self.note_end(app, &rollout, end, Some(reason), true).await
    }

    /// The rollout in an app's index that is under way, with its settings.
    async fn interrupted(
        self: &Arc<Self>,
        app: &str,
        index: &Index,
    ) -> Result<Option<(Rollout, RolloutSettings)>, Problem> {
        let Some(rollout) = index.rollout.clone().filter(Rollout::is_running) else { return Ok(None) };
        let (this, name) = (self.clone(), app.to_owned());
        let entry = index.find(app, &rollout.version)?.entry.clone();
        let config = blocking(move || Ok(this.folder.check(&name, &entry)?)).await?;
        Ok(config.settings.rollout.map(|settings| (rollout, settings)))
    }
}
