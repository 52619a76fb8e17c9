//! What is to be started, and what that takes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use atoll_port::CallSink;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use crate::app::environment::{Digest, Environment};
use crate::app::file_lookups::FileLookups;
use crate::app::handle::App;
use crate::app::libraries::Library;
use crate::app::lifecycle::Number;
use crate::app::pins::Pins;
use crate::app::prepare::Preparation;
use crate::generation::handle::Generation;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::loader::Loader;
use crate::library::preflight::Preflight;
use crate::library::source::SourcePath;
use crate::library::stage::{Kept, Staging};
use crate::observe::faults::Faults;
use crate::observe::history::{State, Transition};
use crate::process::pool::BlankPool;

/// What a supervisor wants started.
pub(crate) struct Plan {
    pub(crate) app: Arc<App>,
    pub(crate) number: Number,
    /// Where the library is, by `apps.json`.
    pub(crate) path: SourcePath,
    /// What it leads to, or what a build has made of it.
    pub(crate) library: Library,
    /// When the change was noticed that this brings into force.
    pub(crate) noticed: Option<Instant>,
    /// An earlier library, instead of that one.
    pub(crate) rollback: Option<Kept>,
    /// What was made ready ahead of the library, if it is still that.
    pub(crate) prepared: Option<Preparation>,
    /// Nothing is to be done if the library has this content, and the environment too.
    pub(crate) unless: Option<(ContentHash, Digest)>,
    /// The states that another host has handed over, for a generation that has no predecessor.
    pub(crate) handed: Vec<Value>,
    /// The generation whose state is handed over.
    pub(crate) predecessor: Option<Arc<Generation>>,
    /// The environment of that generation.
    pub(crate) environment_before: Option<Arc<Environment>>,
    /// Brings the app's requests to other apps.
    pub(crate) call_sink: Arc<dyn CallSink>,
    /// Makes new requests wait for this generation, instead of going to the predecessor.
    pub(crate) hold: Box<dyn Fn() -> LocalBoxFuture<'static, ()>>,
    /// Called with the reason when a worker returns unexpectedly.
    pub(crate) on_exit: Arc<dyn Fn(String) + Send + Sync>,
    /// Takes the predecessor down, where this generation can only start when it is gone; the copy of its library, unless that
    /// is pinned.
    pub(crate) give_way: Box<dyn Fn() -> LocalBoxFuture<'static, Option<Inspected>>>,
    pub(crate) loader: Rc<dyn Loader>,
    /// What reads the files of the environment.
    pub(crate) file_lookups: FileLookups,
    /// Where processes for apps come from.
    pub(crate) blanks: BlankPool,
    /// Where the faults that end them are kept.
    pub(crate) faults: Faults,
    /// What opens the library in a process first, if it is to be.
    pub(crate) preflight: Option<Arc<Preflight>>,
    pub(crate) staging: Arc<Staging>,
    pub(crate) pins: Pins,
}

impl Plan {
    /// Adds a step to the app's history.
    pub(super) fn record(&self, state: State, reason: String) {
        log::debug!("{}#{} {state}: {reason}", self.app.name(), self.number);
        self.app.record(Transition { at: SystemTime::now(), generation: self.number, state, reason });
    }
}
