//! Making a version the one that serves.
//!
//! The files in the folder are replaced while the app takes no note of them, so that no generation has the library of one version
//! and the settings of another. If the version does not start, what was there before is put back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::deployer::{Deployer, blocking};
use crate::admin::rollout_model::RolloutStatus;
use crate::app::unavailable::Unavailable;
use crate::config::AppConfig;
use crate::deploy::{Installation, Installed, Version, VersionError, WantedShare};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::unix_time::now_ms;

/// How long a host may take to read the registry file again.
const APPLY_LIMIT: Duration = Duration::from_secs(10);

/// What is to be in the folder of an app; `None`: nothing.
type Content = Option<Installation>;

/// How a version is to be promoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PromoteOptions {
    /// Also if a rollout of it was aborted.
    pub(super) again: bool,
    /// Without a rollout.
    pub(super) now: bool,
}

/// What came of a promotion.
#[derive(Clone, Debug)]
pub(super) enum Promotion {
    /// The version serves, as the generation with this number; `None`: the app stands by.
    Serves(Option<u64>),
    /// It gets its clients step by step.
    Begun(Box<RolloutStatus>),
}

impl Deployer {
    /// Makes a version the one that serves, or begins its rollout. It is carried out also if the client disconnects.
    pub(super) async fn promote(
        self: &Arc<Self>,
        app: String,
        id: String,
        options: PromoteOptions,
    ) -> Result<Promotion, Problem> {
        let this = self.clone();
        carried_out(async move {
            let turn = this.turn(&app);
            let _turn = turn.lock().await;
            this.notice(&app).await;
            let version = this.index(&app).await?.find(&app, &id)?.clone();
            if let Some(reason) = version.failure.as_ref().filter(|_| version.held && !options.again) {
                let detail = format!(
                    "the version {} of {app} was rejected: {reason}; `atoll promote {app} {} --again` promotes it all the same.",
                    version.id, version.id
                );
                return Err(Problem::new(ProblemKind::Conflict, detail));
            }
            if let Some(running) = this.rollouts.running(&app) {
                if !options.now {
                    return Err(under_way(&app, &running.version));
                }
                this.cancel_rollout(&app, "another version was promoted").await?;
            }
            if !options.now
                && let Some(rollout) = this.begin_rollout(&app, &version).await?
            {
                return Ok(Promotion::Begun(Box::new(rollout)));
            }
            this.promote_version(&app, version, Vec::new()).await.map(Promotion::Serves)
        })
        .await
    }

    /// Promotes again what was being promoted when the host ended, and continues rollouts.
    pub(in crate::admin) async fn recover(self: Arc<Self>) {
        let this = self.clone();
        let interrupted = match blocking(move || this.versions.interrupted()).await {
            Ok(interrupted) => interrupted,
            Err(problem) => return log::warn!("cannot find out what was being promoted: {problem}"),
        };
        for (app, id) in interrupted {
            log::warn!("{app}: the host ended while the version {id} was being promoted: promoting it again");
            let options = PromoteOptions { again: true, now: true };
            if let Err(problem) = self.promote(app.clone(), id.clone(), options).await {
                log::error!("{app}: cannot promote the version {id}: {problem}");
            }
        }
        self.resume_rollouts().await;
    }

    /// Goes back to the version before, or, where the library of an app is not in the folder of the registry file, to the
    /// library before. A rollout that is under way is aborted instead.
    pub(in crate::admin) async fn roll_back(self: &Arc<Self>, app: String) -> Result<Option<u64>, Problem> {
        let no_app = || Problem::new(ProblemKind::UnknownApp, self.registry.no_such_app(&app));
        let config = self.registry.config(&app).ok_or_else(no_app)?;
        if !self.folder.has(&config) || !self.versions.are_kept() {
            let handle = self.registry.get(&app).ok_or_else(no_app)?;
            let done = handle.rollback().await;
            return done.map(Some).map_err(|reason| Problem::new(ProblemKind::Conflict, reason));
        }
        let this = self.clone();
        carried_out(async move {
            let turn = this.turn(&app);
            let _turn = turn.lock().await;
            if this.rollouts.running(&app).is_some() {
                this.cancel_rollout(&app, "it was rolled back").await?;
                this.leave_beside(&app, &[]).await?;
                return this.update(&app).await;
            }
            this.notice(&app).await;
            let version = this.index(&app).await?.previous(&app)?.clone();
            match this.serve_warm(&app, &version).await? {
                Some(generation) => Ok(Some(generation)),
                None => this.promote_version(&app, version, Vec::new()).await,
            }
        })
        .await
    }

    /// Leaves these versions beside it. Its caller has the turn.
    pub(super) async fn promote_version(
        self: &Arc<Self>,
        app: &str,
        version: Version,
        beside: Vec<WantedShare>,
    ) -> Result<Option<u64>, Problem> {
        let (this, name, wanted) = (self.clone(), app.to_owned(), version.clone());
        let (new, before) = blocking(move || {
            let new = this.versions.installation(&name, &wanted)?;
            let installed = this.folder.installed(&name)?;
            let is_there = installed.is_some_and(|Installed { library, entry }| {
                library.to_string() == wanted.library && entry == wanted.entry
            });
            if is_there {
                return Ok((None, None));
            }
            // Also what has never served.
            let before = this.versions.backup(&name, &this.folder)?;
            this.versions.promoting(&name, &wanted.id)?;
            Ok((Some(new), before))
        })
        .await?;
        let replaces = new.is_some();
        let served = match new {
            Some(new) => self.serve(app, Some(new)).await,
            None => self.update(app).await,
        };
        let keep = self.registry.config(app).map_or(0, |config| config.settings.keep);
        let (this, name, id) = (self.clone(), app.to_owned(), version.id.clone());
        match served {
            Ok(generation) => {
                self.registry.get(app).iter().for_each(|app| app.metrics().begin_version());
                blocking(move || this.versions.promoted(&name, &id, now_ms(), keep)).await?;
                let state = if generation.is_some() { "serves" } else { "is here, where the app stands by" };
                log::info!("{app}: the version {} {state}", version.id);
                self.leave_beside(app, &beside).await?;
                Ok(generation)
            }
            Err(problem) => {
                log::warn!("{app}: the version {} does not serve: {problem}", version.id);
                if replaces && let Err(worse) = self.put_back(app, before).await {
                    log::error!("{app}: cannot put back what was there before: {worse}");
                }
                self.note_failure(app, &version.id, &problem.to_string(), false).await?;
                Err(problem)
            }
        }
    }

    /// Takes note of why a version is not the current one; with `is_held`, it is not promoted again until someone asks for it.
    pub(super) async fn note_failure(
        self: &Arc<Self>,
        app: &str,
        id: &str,
        reason: &str,
        is_held: bool,
    ) -> Result<(), Problem> {
        let keep = self.registry.config(app).map_or(0, |config| config.settings.keep);
        let (this, name, id, reason) = (self.clone(), app.to_owned(), id.to_owned(), reason.to_owned());
        blocking(move || this.versions.failed(&name, &id, &reason, is_held, keep)).await
    }

    /// Puts back what was in the folder before a version that does not start.
    async fn put_back(self: &Arc<Self>, app: &str, before: Content) -> Result<(), Problem> {
        match before {
            Some(_) => self.serve(app, before).await.map(drop),
            None => self.replace(app, None).await,
        }
    }

    /// Replaces what is in the folder of an app, and waits until that serves.
    async fn serve(self: &Arc<Self>, app: &str, content: Content) -> Result<Option<u64>, Problem> {
        self.replace(app, content).await?;
        self.update(app).await
    }

    /// Replaces what is in the folder of an app, and waits until the host has read the registry file.
    pub(super) async fn replace(self: &Arc<Self>, app: &str, content: Content) -> Result<(), Problem> {
        let held = match self.registry.get(app) {
            Some(handle) => Some(handle.hold().await),
            None => None,
        };
        let (this, name) = (self.clone(), app.to_owned());
        let config: Option<AppConfig> = blocking(move || match content {
            Some(content) => Ok(Some(this.folder.install(&name, &content)?)),
            None => {
                this.folder.remove(&name)?;
                Ok::<_, VersionError>(None)
            }
        })
        .await?;
        let applied = timeout(APPLY_LIMIT, self.registry.applied(app, config.as_ref())).await;
        drop(held);
        applied.map_err(|_elapsed| {
            let detail = format!(
                "the host has not read its apps.json within {} s; see its log.",
                APPLY_LIMIT.as_secs()
            );
            Problem::new(ProblemKind::Conflict, detail)
        })
    }

    /// Waits until what is in the folder of an app serves; the number of its generation. `None`: the app stands by.
    async fn update(&self, app: &str) -> Result<Option<u64>, Problem> {
        let handle = self.registry.get(app);
        let handle =
            handle.ok_or_else(|| Problem::new(ProblemKind::UnknownApp, self.registry.no_such_app(app)))?;
        if handle.stands_by() {
            return Ok(None);
        }
        match handle.update().await {
            Ok(generation) => Ok(Some(generation)),
            // It has stood by at least for a moment.
            Err(reason) if handle.stands_by() || reason == Unavailable::StandsBy.to_string() => Ok(None),
            Err(reason) => Err(Problem::new(ProblemKind::Conflict, reason)),
        }
    }
}

/// Another version is being rolled out.
pub(super) fn under_way(app: &str, version: &str) -> Problem {
    let detail = format!(
        "the rollout of the version {version} of {app} is under way; wait for it, end it with `atoll traffic {app} --end`, or promote \
        with --now."
    );
    Problem::new(ProblemKind::Conflict, detail)
}

/// Does something to its end, also if the client leaves.
pub(super) async fn carried_out<T: 'static>(
    work: impl Future<Output = Result<T, Problem>> + 'static,
) -> Result<T, Problem> {
    let done = actix_web::rt::spawn(work).await;
    done.unwrap_or_else(|error| Err(Problem::new(ProblemKind::AppError(500), error.to_string())))
}
