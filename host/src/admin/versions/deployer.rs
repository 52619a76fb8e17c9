//! What keeps the versions of a host's apps, and puts them into the folder that it serves.

use std::path::Path;
use std::sync::{Arc, Weak};

use actix_web::web::block;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::model::{NewAppVersion, PushedVersion, VersionStatus};
use super::promotion::{PromoteOptions, Promotion};
use crate::admin::rollout_model::Rollouts;
use crate::admin::state::State;
use crate::admin::turns::Turns;
use crate::config::Settings;
use crate::deploy::{Admission, NewVersion, ServedFolder, UploadStatus, VersionError, Versions};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::library::check::Opener;
use crate::library::stage::Staging;
use crate::observe::events::{EventBus, EventKind};
use crate::observe::faults::Faults;
use crate::observe::history;
use crate::observe::unix_time::now_ms;
use crate::observe::version_name::version_of;
use crate::registry::{QuotaStatus, Registry};

/// What keeps the versions of a host's apps, and puts them into the folder that it serves.
#[derive(Debug)]
pub(in crate::admin) struct Deployer {
    pub(super) registry: Arc<Registry>,
    pub(super) versions: Versions,
    pub(super) folder: ServedFolder,
    /// Not held: it goes with the host.
    staging: Weak<Staging>,
    opener: Option<Opener>,
    /// How many bytes an uploaded file may have.
    upload_limit: u64,
    /// The last rollouts of the apps.
    pub(super) rollouts: Rollouts,
    pub(super) faults: Faults,
    turns: Turns,
    /// That the host no longer answers to its operator.
    pub(super) ended: CancellationToken,
}

impl Deployer {
    /// That of a host, which keeps what it keeps in the folder `kept_in`, and has libraries opened by `opener` first.
    pub(in crate::admin) fn new(state: &State, opener: Option<Opener>, kept_in: Option<&Path>) -> Arc<Self> {
        Arc::new(Self {
            registry: state.registry.clone(),
            versions: Versions::new(kept_in, state.config()),
            folder: ServedFolder::new(state.config()),
            staging: state.staging.clone(),
            opener,
            upload_limit: state.limits.upload_limit as u64,
            rollouts: state.rollouts.clone(),
            faults: state.faults.clone(),
            turns: state.turns.clone(),
            ended: CancellationToken::new(),
        })
    }

    /// Ends the rollouts that are under way in this process when the guard is dropped.
    pub(in crate::admin) fn end_with(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// How much the host has of a file.
    pub(in crate::admin) async fn received(
        self: &Arc<Self>,
        app: String,
        hash: String,
    ) -> Result<UploadStatus, Problem> {
        let this = self.clone();
        blocking(move || this.versions.received(&app, &hash)).await
    }

    /// Appends a piece to a file.
    pub(in crate::admin) async fn append(
        self: &Arc<Self>,
        app: String,
        hash: String,
        (offset, size): (u64, u64),
        piece: actix_web::web::Bytes,
    ) -> Result<UploadStatus, Problem> {
        let this = self.clone();
        blocking(move || {
            this.versions.check_storage(&app, size.saturating_sub(offset), &this.registry.quota_limits())?;
            this.versions.append(&app, &hash, offset, size, this.upload_limit, &piece)
        })
        .await
    }

    /// With how much the host keeps of the apps of each quota that limits it.
    pub(in crate::admin) async fn with_storage(
        self: Arc<Self>,
        mut quotas: Vec<QuotaStatus>,
    ) -> Result<Vec<QuotaStatus>, Problem> {
        blocking(move || {
            for status in quotas.iter_mut().filter(|status| status.quota.storage.is_some()) {
                status.used.storage = Some(self.versions.stored(&status.quota)?);
            }
            Ok(quotas)
        })
        .await
    }

    /// The versions of an app.
    pub(super) async fn list(self: &Arc<Self>, app: String) -> Result<Vec<VersionStatus>, Problem> {
        let this = self.clone();
        let name = app.clone();
        let index = blocking(move || this.versions.index(&name)).await?;
        if index.versions.is_empty() && self.registry.get(&app).is_none() {
            return Err(Problem::new(ProblemKind::UnknownApp, self.registry.no_such_app(&app)));
        }
        Ok(VersionStatus::all(&index))
    }

    /// Keeps a version whose files were uploaded, and promotes it, if it is to be.
    pub(in crate::admin) async fn push(
        self: Arc<Self>,
        app: String,
        by: String,
        new: NewAppVersion,
    ) -> Result<PushedVersion, Problem> {
        let NewAppVersion { library, libraries, entry, note, promote, again } = new;
        let new = NewVersion { library, libraries, entry, by, note };
        let (this, name) = (self.clone(), app.clone());
        let version = blocking(move || this.admit(&name, new)).await?;
        log::info!(
            "{app}: got the version {} from {}",
            version.id,
            version.by.as_deref().unwrap_or_default()
        );
        let promoted = if promote {
            let options = PromoteOptions { again, now: false };
            Some(self.promote(app.clone(), version.id.clone(), options).await?)
        } else {
            None
        };
        let (generation, rollout) = match promoted {
            Some(Promotion::Serves(generation)) => (generation, None),
            Some(Promotion::Begun(rollout)) => (None, Some(*rollout)),
            None => (None, None),
        };
        let (this, name, id) = (self.clone(), app, version.id.clone());
        let index = blocking(move || this.versions.index(&name)).await?;
        let known = index.versions.iter().find(|known| known.id == id).unwrap_or(&version);
        Ok(PushedVersion {
            version: VersionStatus::new(known, index.current.as_deref()),
            generation,
            rollout,
        })
    }

    fn admit(&self, app: &str, new: NewVersion) -> Result<crate::deploy::Version, VersionError> {
        let Settings { library_limit, preflight, keep, .. } = self.folder.check(app, &new.entry)?.settings;
        let Some(staging) = self.staging.upgrade() else { return Err(VersionError::NoFolder) };
        let opener = self.opener.as_ref().filter(|_| preflight);
        let with = Admission { staging: &staging, opener, library_limit, now_ms: now_ms(), keep };
        self.versions.admit(app, new, &with)
    }

    /// Does this with each app that has had versions, when it has its turn.
    pub(super) async fn for_each_app(self: &Arc<Self>, work: impl AsyncFn(String)) -> Result<(), Problem> {
        let this = self.clone();
        for app in blocking(move || this.versions.apps()).await? {
            let turn = self.turn(&app);
            let _turn = turn.lock().await;
            work(app).await;
        }
        Ok(())
    }

    /// The turn to change an app.
    pub(super) fn turn(&self, app: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.of(app)
    }

    /// Takes note of the library that serves, if it is none that was pushed, whenever another one does; as long as it is polled.
    pub(in crate::admin) async fn follow(self: Arc<Self>, events: EventBus) {
        let mut events = events.follow();
        loop {
            match events.recv().await {
                Ok(event) => {
                    let EventKind::Transition(entry) = &event.what else { continue };
                    let is_version = version_of(&event.app).is_some();
                    if entry.state == history::State::Serving.to_string() && !is_version {
                        self.notice_soon(event.app.clone());
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    self.registry.apps().iter().for_each(|app| self.notice_soon(app.name().to_string()));
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn notice_soon(self: &Arc<Self>, app: String) {
        if !self.versions.are_kept() {
            return;
        }
        let this = self.clone();
        actix_web::rt::spawn(async move {
            let turn = this.turn(&app);
            let _turn = turn.lock().await;
            this.notice(&app).await;
            this.restore(&app).await;
        });
    }

    /// Takes note of the library that serves, if it is none that was pushed. Its caller has the turn.
    pub(super) async fn notice(self: &Arc<Self>, app: &str) {
        let (this, name) = (self.clone(), app.to_owned());
        if let Err(problem) = blocking(move || this.notice_now(&name)).await {
            log::warn!("{app}: what serves is not kept as a version: {problem}");
        }
    }

    fn notice_now(&self, app: &str) -> Result<(), VersionError> {
        let config = self.registry.config(app).filter(|config| self.folder.has(config));
        let (Some(config), Some(staging)) = (config, self.staging.upgrade()) else { return Ok(()) };
        let (Some(kept), Some(installed)) =
            (staging.kept(app).into_iter().next(), self.folder.installed(app)?)
        else {
            return Ok(());
        };
        let (now, keep) = (now_ms(), config.settings.keep);
        let id = self.versions.notice(app, &kept, installed.entry, now, keep)?;
        if self.versions.index(app)?.current.as_ref() != Some(&id) {
            self.registry.get(app).iter().for_each(|app| app.metrics().begin_version());
            self.versions.promoted(app, &id, now, keep)?;
        }
        Ok(())
    }
}

/// Works with files, apart from the thread that serves the API.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VersionError> + Send + 'static,
) -> Result<T, Problem> {
    let done = block(work).await;
    let done = done.map_err(|error| Problem::new(ProblemKind::AppError(500), error.to_string()))?;
    Ok(done?)
}
