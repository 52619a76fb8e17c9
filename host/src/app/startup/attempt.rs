//! Loading a library, and starting its workers.

use std::path::PathBuf;
use std::sync::Arc;

use atoll_plugin::protocol::Start;
use atoll_port::Limits;
use serde_json::Value;

use super::data_folder;
use super::error::StartupError;
use super::exits::Exits;
use super::hand_over::hand_over;
use super::housing::{data_and_policy, in_host, in_process};
use super::plan::Plan;
use crate::app::environment::Environment;
use crate::app::live_generation::LiveGeneration;
use crate::app::teardown::{self, PARTS};
use crate::config::{Isolation, Runtime};
use crate::generation::handle::{Identity, Shape};
use crate::library::check::CheckError;
use crate::library::inspect::Inspected;
use crate::library::preflight::Passed;
use crate::observe::history::State;
use crate::sandbox::Policy;

/// What is the same each time that a generation is tried.
pub(super) struct Attempt<'p> {
    plan: &'p Plan,
    /// The version of the library's package.
    version: String,
    isolation: Isolation,
    preflight: Option<Passed>,
    /// What its process may do; `None`: what its user may.
    policy: Option<Policy>,
    /// Its data folder.
    data: Option<PathBuf>,
    environment: &'p Arc<Environment>,
}

/// An attempt that has failed.
pub(super) struct Failed {
    pub(super) error: StartupError,
    /// The copy of the library, if it can be loaded again.
    copy: Option<Inspected>,
    /// What the predecessor has handed over, if it has.
    pub(super) states: Option<Vec<Value>>,
}

impl<'p> Attempt<'p> {
    /// What can be done before the library is loaded into the host.
    pub(super) async fn new(
        plan: &'p Plan,
        environment: &'p Arc<Environment>,
        inspected: &Inspected,
    ) -> Result<Self, StartupError> {
        let isolation = plan.app.isolation(inspected.staged().hash());
        let preflight = match isolation {
            Isolation::Thread | Isolation::Auto => preflight(plan, inspected).await?,
            // It opens the library itself.
            Isolation::Process => None,
        };
        let (data, policy) = data_and_policy(&plan.app, isolation, own_folder(plan)).await?;
        Ok(Self {
            plan,
            version: inspected.stamp().version.clone(),
            isolation,
            preflight,
            policy,
            data,
            environment,
        })
    }

    /// Loads the library and starts its workers, with the states that the predecessor has handed over, or hands over now.
    pub(super) async fn run(
        &self,
        inspected: Inspected,
        states: Option<Vec<Value>>,
    ) -> Result<LiveGeneration, Failed> {
        let app = &self.plan.app;
        match self.try_once(inspected, states).await {
            Err(Failed { error, copy, states }) if error.is_about_logger() && !app.has_own_logger() => {
                // Known from now on, also if the library cannot be loaded again at once.
                app.note_own_logger();
                let Some(copy) = copy else { return Err(Failed { error, copy, states }) };
                log::debug!(
                    "{}: it sets a logger itself, and is started again without the host's",
                    app.name()
                );
                self.try_once(copy, states).await
            }
            tried => tried,
        }
    }

    async fn try_once(
        &self,
        inspected: Inspected,
        states: Option<Vec<Value>>,
    ) -> Result<LiveGeneration, Failed> {
        let plan = self.plan;
        // Its code runs from here on.
        if plan.app.stands_by() {
            return Err(Failed { error: StartupError::NoLease, copy: None, states });
        }
        let exits = Exits::new(plan.on_exit.clone());
        let live = match self.load(inspected, &exits).await {
            Ok(live) => live,
            Err(error) => return Err(Failed { error, copy: None, states }),
        };
        let limit = plan.app.settings().start_timeout();
        let states = match states {
            Some(states) => states,
            None => hand_over(plan, limit).await,
        };
        let started = tokio::select! {
            started = live.generation.start(self.start_message(), states.clone(), limit) => {
                started.map_err(StartupError::from)
            }
            () = plan.app.lease().runs_out(PARTS) => Err(StartupError::NoLease),
        };
        match started {
            Ok(()) => {
                live.metering.ready();
                exits.open();
                Ok(live)
            }
            Err(error) => {
                live.generation.retire();
                let mut left = None;
                teardown::tear_down(&plan.pins, &plan.app, live, |copy| left = copy).await;
                Err(Failed { error, copy: left, states: Some(states) })
            }
        }
    }

    async fn load(&self, inspected: Inspected, exits: &Exits) -> Result<LiveGeneration, StartupError> {
        let plan = self.plan;
        let settings = plan.app.settings();
        let identity = Identity {
            app: plan.app.name().clone(),
            number: plan.number,
            version: self.version.clone(),
            app_log: plan.app.app_log().clone(),
            noticed: plan.noticed,
        };
        let limits =
            Limits { queue: settings.queue, calls: settings.max_calls, message: settings.message_limit };
        let shape = Shape {
            workers: settings.workers,
            stack_size: settings.stack_size,
            folder: working_folder(plan),
            limits,
        };
        let hash = inspected.staged().hash();
        let (generation, housing) = match self.isolation {
            Isolation::Thread | Isolation::Auto => in_host(plan, identity, inspected, shape, exits).await?,
            Isolation::Process => {
                in_process(plan, identity, inspected, shape, self.policy.clone(), exits).await?
            }
        };
        let generation = Arc::new(generation);
        let source = Arc::downgrade(&generation);
        let metering = plan.app.meter().loaded(&hash.short(), source);
        let place = generation.process().map(|process| format!("in process {}", process.id));
        plan.record(State::Loaded, place.unwrap_or_default());
        let workers = settings.workers;
        let plural = if workers == 1 { "" } else { "s" };
        plan.record(State::Starting, format!("{workers} worker{plural}"));
        Ok(LiveGeneration {
            metering,
            generation,
            housing,
            hash,
            environment: self.environment.clone(),
            preflight: self.preflight,
        })
    }

    /// What starts the first worker; that of the others has another number.
    fn start_message(&self) -> Start {
        let settings = self.plan.app.settings();
        let mut env = self.environment.variables.clone();
        if let Some(data) = &self.data {
            env.entry(data_folder::VARIABLE.to_owned())
                .or_insert_with(|| data.to_string_lossy().into_owned());
        }
        Start {
            app: self.plan.app.registered_name().to_owned(),
            generation: self.plan.number,
            worker: 0,
            workers: settings.workers,
            env,
            config: settings.config.clone(),
            state: None,
            body_limit: settings.body_limit as u64,
            own_logger: self.plan.app.has_own_logger(),
            multi_thread: settings.runtime == Runtime::MultiThread,
        }
    }
}

/// Opens the library in a process, if it is to be, so that one that crashes or hangs never reaches the host.
async fn preflight(plan: &Plan, inspected: &Inspected) -> Result<Option<Passed>, StartupError> {
    let Some(preflight) = &plan.preflight else { return Ok(None) };
    let passed = preflight
        .pass(inspected.staged(), plan.app.settings().start_timeout())
        .await
        .map_err(CheckError::from)?;
    plan.record(State::Preflighted, passed.to_string());
    Ok(Some(passed))
}

/// The folder that belongs to the app: that of the setting `dir`, or else the one that its `path` names.
fn own_folder(plan: &Plan) -> Option<PathBuf> {
    let path = &plan.path.path;
    plan.app.settings().dir.clone().or_else(|| path.is_dir().then(|| path.clone()))
}

/// The working directory of an app: its own folder, or the one of the library that its `path` names.
fn working_folder(plan: &Plan) -> PathBuf {
    let path = &plan.path.path;
    own_folder(plan).unwrap_or_else(|| path.parent().unwrap_or(path).to_owned())
}
