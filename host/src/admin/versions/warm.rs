//! Versions that stay loaded for some time after they were the current one, so that going back takes no time.

use std::sync::Arc;
use std::time::Duration;

use super::deployer::{Deployer, blocking};
use super::rollout::share;
use crate::app::handle::App;
use crate::app::traffic::VersionBeside;
use crate::config::{RolloutSettings, SLOTS, Slots};
use crate::deploy::{Index, Share, Version, WantedShare};
use crate::dispatch::problem::Problem;
use crate::observe::unix_time::now_ms;

impl Deployer {
    /// Loads the current version beside itself, where it stays when the next one is the current one; what is to stay there.
    pub(super) async fn warm_up(
        self: &Arc<Self>,
        app: &Arc<App>,
        index: &Index,
        settings: &RolloutSettings,
    ) -> Vec<WantedShare> {
        let Some(current) = index.current.clone().filter(|_| settings.warm_ms > 0) else { return Vec::new() };
        let warm = WantedShare { until_ms: Some(now_ms() + settings.warm_ms), ..share(&current, 0.0) };
        let beside: Vec<WantedShare> =
            index.beside.iter().map(WantedShare::from).chain([warm.clone()]).collect();
        match self.split(app, index, &beside).await {
            Ok(()) => vec![warm],
            Err(refusal) => {
                let problem = Problem::from(refusal);
                log::warn!("{}: the version {current} does not stay loaded: {problem}", app.name());
                Vec::new()
            }
        }
    }

    /// Gives all clients to a version that is loaded beside the current one, and makes it the current one after that; `None`: it is
    /// not loaded. Its caller has the turn.
    pub(super) async fn serve_warm(
        self: &Arc<Self>,
        app: &str,
        version: &Version,
    ) -> Result<Option<u64>, Problem> {
        let Some(generation) = self.give_all(app, &version.id).await? else { return Ok(None) };
        let (this, app, version) = (self.clone(), app.to_owned(), version.clone());
        let (same, name, id) = (self.clone(), app.clone(), version.id.clone());
        // If the host ends before that, the next one does it.
        blocking(move || same.versions.promoting(&name, &id)).await?;
        actix_web::rt::spawn(async move {
            let turn = this.turn(&app);
            let _turn = turn.lock().await;
            let id = version.id.clone();
            if let Err(problem) = this.promote_version(&app, version, Vec::new()).await {
                log::error!("{app}: cannot make the version {id} the current one: {problem}");
            }
        });
        Ok(Some(generation))
    }

    /// Gives all clients to a version that is loaded beside the current one; the number of its generation. `None`: it is not
    /// loaded.
    async fn give_all(self: &Arc<Self>, app: &str, id: &str) -> Result<Option<u64>, Problem> {
        let handle = self.app(app)?;
        let Some(traffic) = handle.traffic() else { return Ok(None) };
        let Some(version) = traffic.versions().iter().find(|version| version.id() == id) else {
            return Ok(None);
        };
        let Some(serving) = version.app.serving() else { return Ok(None) };
        let mut slots = Slots::default();
        slots.grow(SLOTS, &[]);
        self.publish(&handle, vec![VersionBeside { slots, ..version.clone() }]).await;
        Ok(Some(serving.number()))
    }

    /// Removes those of the versions beside the current one that are there for some time only, when that is over.
    pub(super) fn expire_later(self: &Arc<Self>, app: &Arc<App>, shares: &[Share]) {
        for (id, until_ms) in shares.iter().filter_map(|share| Some((share.version.clone(), share.until_ms?)))
        {
            let (this, app) = (Arc::downgrade(self), app.name().clone());
            actix_web::rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(until_ms.saturating_sub(now_ms()))).await;
                let Some(this) = this.upgrade() else { return };
                let turn = this.turn(&app);
                let _turn = turn.lock().await;
                if let Err(problem) = this.expire(&app, &id, until_ms).await {
                    log::warn!("{app}: the version {id} stays loaded: {problem}");
                }
            });
        }
    }

    /// Removes a version, if it is still there until then. Its caller has the turn.
    async fn expire(self: &Arc<Self>, app: &str, id: &str, until_ms: u64) -> Result<(), Problem> {
        let index = self.index(app).await?;
        let is_it = |share: &&Share| share.version == id && share.until_ms == Some(until_ms);
        if !index.beside.iter().any(|share| is_it(&share)) {
            return Ok(());
        }
        let others = index.beside.iter().filter(|share| !is_it(share));
        let others: Vec<WantedShare> = others.map(WantedShare::from).collect();
        self.leave_beside(app, &others).await
    }
}
