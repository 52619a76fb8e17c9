//! What a fleet does with the apps of a host, besides pushing versions.

use std::sync::Arc;

use super::deployer::{Deployer, blocking};
use super::promotion::carried_out;
use crate::deploy::DeployError;
use crate::dispatch::problem::Problem;

/// The versions of an app, as far as a fleet needs to know them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::admin) struct KnownVersions {
    /// The id of the current one.
    pub(in crate::admin) current: Option<String>,
    /// Since when it is the current one, in milliseconds since 1970.
    pub(in crate::admin) since_ms: u64,
    /// The ids of those that are not the current one because something is wrong with them, and what.
    pub(in crate::admin) failed: Vec<(String, String)>,
}

impl Deployer {
    /// The versions of an app.
    pub(in crate::admin) async fn known(self: &Arc<Self>, app: &str) -> Result<KnownVersions, Problem> {
        let index = self.index(app).await?;
        let current = index.versions.iter().find(|version| index.current.as_ref() == Some(&version.id));
        let failed = index.versions.iter().filter_map(|version| {
            let reason = version.failure.clone()?;
            (index.current.as_ref() != Some(&version.id)).then(|| (version.id.clone(), reason))
        });
        Ok(KnownVersions {
            current: index.current.clone(),
            since_ms: current.and_then(|version| version.promoted_ms).unwrap_or(0),
            failed: failed.collect(),
        })
    }

    /// Goes back to what was there before the current version or the rollout that is under way: another version, or nothing.
    pub(in crate::admin) async fn withdraw(self: &Arc<Self>, app: &str) -> Result<(), Problem> {
        let is_first = self.rollouts.running(app).is_none() && self.index(app).await?.previous(app).is_err();
        if is_first {
            return self.remove(app.to_owned()).await;
        }
        self.roll_back(app.to_owned()).await.map(drop)
    }

    /// Removes an app with its library; its versions are kept.
    pub(in crate::admin) async fn remove(self: &Arc<Self>, app: String) -> Result<(), Problem> {
        let this = self.clone();
        carried_out(async move {
            let turn = this.turn(&app);
            let _turn = turn.lock().await;
            let Some(config) = this.registry.config(&app) else { return Ok(()) };
            if !this.folder.has(&config) {
                let error = DeployError::Elsewhere { app: app.clone(), path: config.path };
                return Err(crate::deploy::VersionError::from(error).into());
            }
            this.notice(&app).await;
            if this.rollouts.running(&app).is_some() {
                this.cancel_rollout(&app, "the app was removed").await?;
            }
            this.replace(&app, None).await?;
            log::info!("{app}: removed");
            let (same, name) = (this.clone(), app.clone());
            blocking(move || same.versions.removed(&name)).await
        })
        .await
    }
}
