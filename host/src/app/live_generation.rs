//! A generation between its start-up and its teardown.

use std::sync::Arc;

use crate::app::environment::Environment;
use crate::generation::app_process::AppProcess;
use crate::generation::handle::Generation;
use crate::generation::worker_threads::WorkerThreads;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::loaded::Loaded;
use crate::library::preflight::Passed;
use crate::library::stage::Staged;
use crate::observe::usage::Metering;

/// A generation that is ready, with what runs it.
#[derive(Debug)]
pub(crate) struct LiveGeneration {
    /// Ends before what it meters.
    pub(crate) metering: Metering,
    pub(crate) generation: Arc<Generation>,
    pub(crate) housing: Housing,
    pub(crate) hash: ContentHash,
    /// What it has as its environment.
    pub(crate) environment: Arc<Environment>,
    /// How the library has passed its preflight; `None` without one.
    pub(crate) preflight: Option<Passed>,
}

/// Where a generation's library is loaded.
#[derive(Debug)]
pub(crate) enum Housing {
    /// In the host.
    Host {
        /// The library.
        loaded: Loaded,
        /// The threads of the workers.
        threads: Arc<WorkerThreads>,
    },
    /// In a separate process.
    Process {
        /// What the process has loaded; `None`: the next generation has it.
        copy: Option<Inspected>,
        /// The process.
        process: Arc<AppProcess>,
    },
}

impl Housing {
    /// The copy that is loaded; `None`: the next generation has it.
    pub(crate) fn staged(&self) -> Option<&Staged> {
        match self {
            Self::Host { loaded, .. } => Some(loaded.staged()),
            Self::Process { copy, .. } => copy.as_ref().map(Inspected::staged),
        }
    }
}
