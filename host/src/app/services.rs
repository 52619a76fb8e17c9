//! What all apps of a host share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::abi::exports;
use crate::app::pins::{PinnedGeneration, Pins};
use crate::app::prepare::Preparer;
use crate::fs::regular_file::in_background;
use crate::library::loader::{Dlopen, Loader};
use crate::library::stage::{StageError, Staging};
use crate::observe::events::EventBus;
use crate::observe::trace::SpanSink;
use crate::watch::Watcher;

/// How many threads look at files at a time.
const LOOKS: usize = 4;

/// How long a look at files may take.
pub(crate) const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// The staging folder, the watcher, and the count of what could not be unloaded.
#[derive(Debug)]
pub struct Services {
    staging: Arc<Staging>,
    preparer: Preparer,
    watcher: Watcher,
    loader: Box<dyn Loader>,
    /// What builds have made, by their crate's folder: it comes before what is found there.
    built: RefCell<HashMap<PathBuf, Library>>,
    shows_details: bool,
    /// For those who look at files, so that a host with many apps does not start a thread for each.
    looks: Semaphore,
    events: EventBus,
    spans: Option<Arc<dyn SpanSink>>,
    pins: Pins,
}

/// Where an app's library is, as far as it is known without looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// What this path leads to, which is watched.
    At(PathBuf),
    /// A file that a build has made. It is not watched: the builder announces the next one with
    /// [`App::rebuilt`](crate::app::handle::App::rebuilt).
    Built(PathBuf),
    /// There is none, because the build failed: what the compiler said.
    Failed(String),
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// The folder for staged copies cannot be made.
    #[error(transparent)]
    Staging(#[from] StageError),
    /// The watcher cannot be started.
    #[error("cannot watch files: {0}")]
    Watch(io::Error),
}

impl Services {
    /// Starts what all apps share.
    ///
    /// # Errors
    /// See [`ServicesError`].
    pub fn new() -> Result<Self, ServicesError> {
        let staging = Arc::new(Staging::new()?);
        if !exports::in_force() {
            log::warn!(
                "threads and aborts of the apps' shared libraries are not tracked: {}",
                exports::REMEDY
            );
        }
        Ok(Self {
            preparer: Preparer::new(staging.clone()),
            staging,
            watcher: Watcher::new().map_err(ServicesError::Watch)?,
            loader: Box::new(Dlopen),
            built: RefCell::default(),
            shows_details: false,
            looks: Semaphore::new(LOOKS),
            events: EventBus::default(),
            spans: None,
            pins: Pins::new(),
        })
    }

    /// With problems that contain internal errors of the apps: for their developers, not for their users.
    #[must_use]
    pub fn with_details(self) -> Self {
        Self { shows_details: true, ..self }
    }

    /// With a place where the spans of requests go.
    #[must_use]
    pub fn with_spans(self, sink: Arc<dyn SpanSink>) -> Self {
        Self { spans: Some(sink), ..self }
    }

    /// Where the spans of requests go.
    pub(crate) fn spans(&self) -> Option<&Arc<dyn SpanSink>> {
        self.spans.as_ref()
    }

    /// With another way of loading libraries.
    #[cfg(any(test, feature = "standalone"))]
    pub(crate) fn with_loader(self, loader: impl Loader + 'static) -> Self {
        Self { loader: Box::new(loader), ..self }
    }

    /// How libraries come into the process.
    pub(crate) fn loader(&self) -> &dyn Loader {
        &*self.loader
    }

    /// Whether problems contain internal errors of the apps.
    pub(crate) fn shows_details(&self) -> bool {
        self.shows_details
    }

    /// The service that watches files.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Says where the library of the crate in `folder` is, whatever is found there; before the app is registered, or
    /// followed by [`App::rebuilt`](crate::app::handle::App::rebuilt).
    pub fn set_library(&self, folder: PathBuf, library: Library) {
        self.built.borrow_mut().insert(folder, library);
    }

    /// Where the library of an app with this `path` is to be looked for.
    pub fn library(&self, path: &Path) -> Library {
        self.built.borrow().get(path).cloned().unwrap_or_else(|| Library::At(path.to_owned()))
    }

    /// Runs `look`, which looks at files, outside of this thread; at most for [`LOOK_LIMIT`], as a file system may not
    /// answer.
    pub(crate) async fn look_at_files<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let looking = async {
            let _turn = self.looks.acquire().await.map_err(io::Error::other)?;
            in_background(look).await
        };
        timeout(LOOK_LIMIT, looking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// The folder of staged copies.
    pub(crate) fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// What prepares libraries before they are needed.
    pub(crate) fn preparer(&self) -> &Preparer {
        &self.preparer
    }

    /// The generations that could not be unloaded, with the reasons.
    pub fn pinned(&self) -> Vec<PinnedGeneration> {
        self.pins.list()
    }

    /// The list of generations that could not be unloaded, for any thread.
    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// The channel for the apps' events.
    pub fn events(&self) -> &EventBus {
        &self.events
    }
}
