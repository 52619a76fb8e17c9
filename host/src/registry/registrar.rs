//! The side of a registry that changes it.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use atoll_port::CallSink;
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::beside::Orders;
use super::{Changes, Registry};
use crate::app::libraries::Libraries;
use crate::app::pins::PinnedGeneration;
use crate::app::resources::{AppResources, SetupError};
use crate::app::supervisor;
use crate::config::Config;
use crate::dispatch::app_calls::AppCalls;
use crate::library::loader::{Dlopen, Loader};
use crate::library::preflight::Opener;
use crate::observe::events::EventBus;
use crate::observe::trace::SpanSink;
use crate::observe::usage::Ledger;
use crate::watch::Watcher;

/// Adds and removes the apps of a [`Registry`], on the thread that runs their supervisors. Every kind of host is made of
/// it: `atoll serve`, `dev` and `call`, a host in another program or in a test, and an app that runs alone.
#[derive(Debug)]
pub struct Registrar {
    registry: Arc<Registry>,
    resources: Rc<AppResources>,
    /// Carries out the apps' requests to each other.
    call_sink: Arc<dyn CallSink>,
}

/// The parts of a [`Registrar`].
#[must_use]
pub struct RegistrarBuilder {
    loader: Box<dyn FnOnce(PathBuf) -> Rc<dyn Loader>>,
    preflight: Option<Opener>,
    waiting_processes: Option<usize>,
    spans: Option<Arc<dyn SpanSink>>,
    shows_details: bool,
}

impl RegistrarBuilder {
    /// Lets problems contain internal errors of the apps, if `on`: for their developers, not for their users.
    pub fn with_details(self, on: bool) -> Self {
        Self { shows_details: on, ..self }
    }

    /// Opens each library that is new to this machine in a sandboxed process of this program first, if `on`.
    pub(crate) fn with_preflight(self, on: bool) -> Self {
        Self { preflight: on.then(Opener::this_program), ..self }
    }

    /// Has so many app processes wait for an app, for each kind of sandbox; with 0, each app waits for its process to start.
    pub fn with_waiting_processes(self, of_a_kind: usize) -> Self {
        Self { waiting_processes: Some(of_a_kind), ..self }
    }

    /// Sends the spans of requests there.
    pub fn with_spans(self, spans: Option<Arc<dyn SpanSink>>) -> Self {
        Self { spans, ..self }
    }

    /// Loads libraries in another way; `loader` receives the folder of staged copies.
    #[cfg(any(test, feature = "standalone"))]
    pub(crate) fn with_loader<L: Loader + 'static>(
        self,
        loader: impl FnOnce(PathBuf) -> L + 'static,
    ) -> Self {
        Self { loader: Box::new(|staged| Rc::new(loader(staged))), ..self }
    }

    /// Makes an empty registry, and starts what its apps share.
    ///
    /// # Errors
    /// See [`SetupError`].
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet), which runs the supervisors of the apps.
    pub fn build(self) -> Result<Registrar, SetupError> {
        let resources = AppResources::new(
            self.loader,
            self.preflight,
            self.waiting_processes,
            self.spans,
            self.shows_details,
        )?;
        let resources = Rc::new(resources);
        let (orders, ordered) = Orders::channel();
        let registry = Arc::new(Registry::new(orders));
        let call_sink = AppCalls::start(registry.index.clone());
        spawn_local(follow_usage(Arc::downgrade(&registry), resources.usage.written()));
        ordered.carry_out(&resources, call_sink.clone());
        Ok(Registrar { registry, resources, call_sink })
    }
}

impl Registrar {
    /// One that loads libraries with `dlopen`.
    pub fn builder() -> RegistrarBuilder {
        RegistrarBuilder {
            loader: Box::new(|_| Rc::new(Dlopen)),
            preflight: None,
            waiting_processes: None,
            spans: None,
            shows_details: false,
        }
    }

    /// The apps, for any thread.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Applies a configuration to the registry. Apps that are the same there are not touched.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn apply(&self, config: &Config) -> Changes {
        let register = |app: &_| supervisor::register(app, &self.resources, self.call_sink.clone(), None);
        let changes = self.registry.apply(config, register);
        self.registry.count_quotas(&self.resources.usage.written().borrow());
        changes
    }

    /// Stops all apps, and waits until they are unloaded or pinned.
    pub async fn close(&self) {
        self.registry.close().await;
    }

    /// The libraries that builds have made.
    pub fn libraries(&self) -> &Libraries {
        &self.resources.libraries
    }

    /// What watches the files of the host.
    pub fn watcher(&self) -> &Watcher {
        &self.resources.watcher
    }

    /// The channel for the apps' events.
    pub fn events(&self) -> &EventBus {
        &self.resources.events
    }

    /// The generations that could not be unloaded, with the reasons.
    pub fn pinned(&self) -> Vec<PinnedGeneration> {
        self.resources.pins.list()
    }

    /// What the apps share.
    pub(crate) fn resources(&self) -> &AppResources {
        &self.resources
    }
}

/// Counts what is used of quotas whenever usage was written, until the registry or the host ends.
async fn follow_usage(registry: Weak<Registry>, mut written: watch::Receiver<Ledger>) {
    while written.changed().await.is_ok() {
        let Some(registry) = registry.upgrade() else { return };
        registry.count_quotas(&written.borrow_and_update());
    }
}
