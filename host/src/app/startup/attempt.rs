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
use super::housing::{in_host, in_process};
use super::plan::Plan;
use crate::app::environment::Environment;
use crate::app::live_generation::LiveGeneration;
use crate::app::teardown;
use crate::config::Isolation;
use crate::generation::handle::{Identity, Shape};
use crate::library::inspect::Inspected;
use crate::library::preflight::Passed;
use crate::observe::history::State;
use crate::sandbox::Policy;

/// What is the same each time that a generation is tried.
pub(super) struct Attempt<'p> {
    pub(super) plan: &'p Plan,
    /// The version of the library's package.
    pub(super) version: String,
    pub(super) isolation: Isolation,
    pub(super) preflight: Option<Passed>,
    /// What its process may do; `None`: what its user may.
    pub(super) policy: Option<Policy>,
    /// Its data folder.
    pub(super) data: Option<PathBuf>,
    pub(super) environment: Environment,
}

/// An attempt that has failed.
pub(super) struct Failed {
    pub(super) error: StartupError,
    /// The copy of the library, if it can be loaded again.
    pub(super) copy: Option<Inspected>,
    /// What the predecessor has handed over, if it has.
    pub(super) states: Option<Vec<Value>>,
}

impl Attempt<'_> {
    /// Loads the library and starts its workers, with the states that the predecessor has handed over, or hands over now.
    pub(super) async fn run(
        &self,
        inspected: Inspected,
        states: Option<Vec<Value>>,
    ) -> Result<LiveGeneration, Failed> {
        let plan = self.plan;
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
        match live.generation.start(self.start_message(), states.clone(), limit).await {
            Ok(()) => {
                exits.open();
                Ok(live)
            }
            Err(error) => {
                live.generation.retire();
                let mut left = None;
                teardown::tear_down(&plan.pins, &plan.app, live, |copy| left = copy).await;
                Err(Failed { error: error.into(), copy: left, states: Some(states) })
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
        let place = generation.process().map(|process| format!("in process {}", process.id));
        plan.record(State::Loaded, place.unwrap_or_default());
        let workers = settings.workers;
        let plural = if workers == 1 { "" } else { "s" };
        plan.record(State::Starting, format!("{workers} worker{plural}"));
        Ok(LiveGeneration {
            generation: Arc::new(generation),
            housing,
            hash,
            environment: self.environment.digest(),
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
            app: self.plan.app.name().to_string(),
            generation: self.plan.number,
            worker: 0,
            env,
            config: settings.config.clone(),
            state: None,
            body_limit: settings.body_limit as u64,
            own_logger: self.plan.app.has_own_logger(),
        }
    }
}

/// The working directory of an app: that of the setting `dir`, or else the folder that its `path` names, or the one of the
/// library that it names.
fn working_folder(plan: &Plan) -> PathBuf {
    if let Some(folder) = &plan.app.settings().dir {
        return folder.clone();
    }
    let is_folder = plan.path.is_dir();
    let folder = if is_folder { Some(&*plan.path) } else { plan.path.parent() };
    folder.unwrap_or(&plan.path).to_owned()
}
