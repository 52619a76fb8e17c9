//! What the apps of a host share.

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::abi::exports;
use crate::app::file_lookups::FileLookups;
use crate::app::libraries::Libraries;
use crate::app::pins::Pins;
use crate::app::prepare::Preparer;
use crate::library::loader::Loader;
use crate::library::preflight::{Opener, Preflight};
use crate::library::stage::{StageError, Staging};
use crate::observe::events::EventBus;
use crate::observe::faults::Faults;
use crate::observe::trace::SpanSink;
use crate::observe::usage::Usage;
use crate::process::pool::BlankPool;
use crate::watch::Watcher;

/// What the apps of a host share. A [`Registrar`](crate::registry::Registrar) makes it, and gives each part to those that
/// need it.
#[derive(Debug)]
pub(crate) struct AppResources {
    pub(crate) staging: Arc<Staging>,
    pub(crate) preparer: Preparer,
    /// What opens libraries in a process first, if this program can be started for that.
    pub(crate) preflight: Option<Arc<Preflight>>,
    pub(crate) watcher: Watcher,
    /// How libraries come into the process.
    pub(crate) loader: Rc<dyn Loader>,
    /// App processes that wait for an app.
    pub(crate) blanks: BlankPool,
    pub(crate) libraries: Libraries,
    pub(crate) file_lookups: FileLookups,
    pub(crate) events: EventBus,
    /// The generations that could not be unloaded.
    pub(crate) pins: Pins,
    /// The faults that ended earlier processes of the host.
    pub(crate) faults: Faults,
    /// What they use.
    pub(crate) usage: Usage,
    /// Where the spans of requests go.
    pub(crate) spans: Option<Arc<dyn SpanSink>>,
    /// Whether problems contain internal errors of the apps.
    pub(crate) shows_details: bool,
    /// Whether the host is in a fleet: then an app with `"instances": 1` waits for its lease.
    pub(crate) in_fleet: Cell<bool>,
}

/// What of it the handle of an app needs.
#[derive(Clone, Copy)]
pub(crate) struct HandleResources<'a> {
    pub(crate) events: &'a EventBus,
    pub(crate) usage: &'a Usage,
    pub(crate) spans: Option<&'a Arc<dyn SpanSink>>,
    pub(crate) shows_details: bool,
    pub(crate) in_fleet: bool,
    /// Whether the app stands for one that other hosts of the fleet have.
    pub(crate) is_elsewhere: bool,
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The folder for staged copies cannot be made.
    #[error(transparent)]
    Staging(#[from] StageError),
    /// The watcher cannot be started.
    #[error("cannot watch files: {0}")]
    Watch(io::Error),
}

impl AppResources {
    /// Starts them; `loader` receives the folder of staged copies; `preflight` opens libraries in a process first;
    /// `waiting_processes` is how many wait for an app, for each kind of sandbox, if not as many as usual.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub(crate) fn new(
        loader: impl FnOnce(PathBuf) -> Rc<dyn Loader>,
        preflight: Option<Opener>,
        waiting_processes: Option<usize>,
        spans: Option<Arc<dyn SpanSink>>,
        shows_details: bool,
    ) -> Result<Self, SetupError> {
        let staging = Arc::new(Staging::new()?);
        if !exports::in_force() {
            log::warn!(
                "threads and aborts of the apps' shared libraries are not tracked: {}",
                exports::REMEDY
            );
        }
        let preflight = preflight.map(|opener| Arc::new(Preflight::new(opener, staging.clone())));
        Ok(Self {
            preparer: Preparer::new(staging.clone(), preflight.clone()),
            preflight,
            watcher: Watcher::new().map_err(SetupError::Watch)?,
            loader: loader(staging.folder()),
            staging,
            blanks: waiting_processes.map_or_else(BlankPool::default, BlankPool::with),
            libraries: Libraries::default(),
            file_lookups: FileLookups::default(),
            events: EventBus::default(),
            pins: Pins::new(),
            faults: Faults::default(),
            usage: Usage::default(),
            spans,
            shows_details,
            in_fleet: Cell::new(false),
        })
    }

    /// What of it the handle of an app needs.
    pub(crate) fn of_handle(&self) -> HandleResources<'_> {
        HandleResources {
            events: &self.events,
            usage: &self.usage,
            spans: self.spans.as_ref(),
            shows_details: self.shows_details,
            in_fleet: self.in_fleet.get(),
            is_elsewhere: false,
        }
    }
}
