//! From a file on disk to a generation that is ready: staged, inspected, loaded, started.

mod attempt;
mod data_folder;
mod environment;
mod error;
mod exits;
mod hand_over;
mod housing;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use self::attempt::{Attempt, Failed};
use self::environment::read_environment;
pub(crate) use self::error::StartupError;
use self::hand_over::hand_over;
pub(crate) use self::plan::Plan;
use crate::app::libraries::Library;
use crate::app::live_generation::LiveGeneration;
use crate::app::prepare::Prepared;
use crate::config::ReloadMode;
use crate::library::check::CheckError;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::loader::LoadMode;
use crate::library::source::{Source, SourcePath};
use crate::library::stage::{Kept, Original, Staging};
use crate::observe::history::State;

/// How often a library that is written to while it is copied is copied again.
const STAGE_ATTEMPTS: usize = 50;

/// A generation that can serve.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) live: LiveGeneration,
    /// Why it is one of the library before: what kept the new one from starting.
    pub(crate) failure: Option<StartupError>,
}

/// Brings one generation up to where it can serve; after an error nothing of it is left.
pub(crate) async fn start_up(mut plan: Plan) -> Result<Started, StartupError> {
    let environment = Arc::new(read_environment(&plan).await?);
    let unless =
        plan.unless.filter(|(_, before)| *before == environment.digest()).map(|(library, _)| library);
    let inspected = inspect(&mut plan, unless).await?;
    let attempt = Attempt::new(&plan, &environment, &inspected).await?;
    let settings = plan.app.settings();

    let is_alone = plan.loader.prepare(inspected.staged()).await? == LoadMode::OneAtATime;
    let (states, before) = match &plan.predecessor {
        Some(predecessor) if is_alone || settings.reload == ReloadMode::StopFirst => {
            let states = hand_over(&plan, settings.start_timeout()).await;
            let gone = (plan.give_way)();
            // All others wait until it is gone.
            predecessor.shutdown().cancel_endless();
            (Some(states), gone.await.filter(|_| !is_alone))
        }
        None if !plan.handed.is_empty() => (Some(plan.handed.clone()), None),
        _ => (None, None),
    };
    let (error, before, states) = match (attempt.run(inspected, states).await, before) {
        (Ok(live), _) => {
            keep(&plan, &live, settings.keep).await;
            return Ok(Started { live, failure: None });
        }
        (Err(failed), Some(before)) => (failed.error, before, failed.states),
        (Err(Failed { error, .. }), None) if plan.predecessor.is_some() && error.is_about_exclusive() => {
            return Err(StartupError::Exclusive(Box::new(error)));
        }
        (Err(Failed { error, .. }), None) if settings.workers > 1 && error.is_about_once() => {
            return Err(StartupError::Once(Box::new(error)));
        }
        (Err(failed), None) => return Err(failed.error),
    };
    let environment = plan.environment_before.as_ref().unwrap_or(&environment);
    let restored = match Attempt::new(&plan, environment, &before).await {
        Ok(attempt) => attempt.run(before, states).await.map_err(|failed| failed.error),
        Err(error) => Err(error),
    };
    match restored {
        Ok(live) => Ok(Started { live, failure: Some(error) }),
        Err(again) => Err(StartupError::NotRestored { new: Box::new(error), previous: Box::new(again) }),
    }
}

/// Keeps the library for a rollback.
async fn keep(plan: &Plan, live: &LiveGeneration, number: usize) {
    let Some(staged) = live.housing.staged() else { return };
    let (staging, original, generation) = (plan.staging.clone(), Original::new(staged), plan.number);
    let kept = spawn_blocking(move || staging.keep_original(&original, generation, number)).await;
    let kept =
        kept.map_err(|error| error.to_string()).and_then(|kept| kept.map_err(|error| error.to_string()));
    if let Err(error) = kept {
        log::warn!("{}: cannot keep its library for a rollback: {error}", plan.app.name());
    }
}

/// Copies the library until the copy is of one piece, and reads it; or takes what was prepared.
async fn inspect(plan: &mut Plan, unless: Option<ContentHash>) -> Result<Inspected, StartupError> {
    let mut prepared = match plan.prepared.take() {
        Some(preparation) => preparation.take().await,
        None => None,
    };
    for attempt in 1.. {
        let wanted = Wanted {
            app: plan.app.name().clone(),
            path: plan.path.clone(),
            limit: plan.app.settings().library_limit as u64,
            library: plan.library.clone(),
            rollback: plan.rollback.clone(),
            prepared: prepared.take(),
            unless,
        };
        let staging = plan.staging.clone();
        let copied = spawn_blocking(move || wanted.copy(&staging)).await;
        match copied.map_err(|error| CheckError::Thread(error.into()))? {
            Err(StartupError::Check(CheckError::Stage(error)))
                if error.is_temporary() && attempt < STAGE_ATTEMPTS =>
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error),
            Ok((inspected, origin)) => {
                let (staged, stamp) = (inspected.staged(), inspected.stamp());
                let what = format!("{} bytes from {}{origin}", staged.size(), staged.source().display());
                plan.record(State::Staged, what);
                plan.record(State::Inspected, format!("{} {}, {}", stamp.name, stamp.version, stamp.rustc));
                return Ok(inspected);
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// The copy that is wanted.
struct Wanted {
    app: Arc<str>,
    path: SourcePath,
    limit: u64,
    library: Library,
    rollback: Option<Kept>,
    prepared: Option<Prepared>,
    /// Nothing is to be done if it has this content.
    unless: Option<ContentHash>,
}

impl Wanted {
    /// Makes or finds it; returns it with a note on how it came about, which may be empty.
    fn copy(self, staging: &Staging) -> Result<(Inspected, &'static str), StartupError> {
        let (mut package, mut origin) = (None, None);
        let staged = match (self.rollback, self.library) {
            (Some(kept), _) => staging.restage(&self.app, &kept),
            (None, Library::Failed(error)) => return Err(StartupError::Build(error)),
            (None, library) => {
                let source = Source::locate(self.path, &self.app);
                package = source.package().map(|package| package.name.clone());
                let library = match &library {
                    Library::Built(file) => file,
                    _ => source.library().map_err(CheckError::from)?,
                };
                origin = source.package().map(|package| (library.to_owned(), package.folder.clone()));
                let fits = |copy: &Inspected| {
                    copy.staged().size() <= self.limit
                        && package.as_ref().is_none_or(|package| *package == copy.stamp().name)
                };
                let prepared = self.prepared.and_then(|prepared| prepared.copy_of(library));
                if let Some(copy) = prepared.filter(fits) {
                    claim(staging, &self.app, origin.as_ref())?;
                    return Ok((copy, ", staged before"));
                }
                staging.stage_up_to(self.limit, &self.app, library)
            }
        };
        let staged = staged.map_err(CheckError::from)?;
        if self.unless == Some(staged.hash()) {
            return Err(StartupError::Unchanged);
        }
        let inspected = staged.inspect(package.as_deref()).map_err(CheckError::from)?;
        claim(staging, &self.app, origin.as_ref())?;
        Ok((inspected, ""))
    }
}

/// Takes note of the library and the folder of the crate that it is built from.
fn claim(staging: &Staging, app: &str, origin: Option<&(PathBuf, PathBuf)>) -> Result<(), CheckError> {
    let Some((library, folder)) = origin else { return Ok(()) };
    Ok(staging.claim(app, library, folder)?)
}
