//! Versions that serve beside the current version of their app.
//!
//! Each is an app by the name of the version. No path and no call leads to it: the [`Traffic`] of its app does.

use std::rc::{Rc, Weak};
use std::sync::{Arc, PoisonError};

use atoll_port::CallSink;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::Registry;
use crate::app::handle::{App, Beside};
use crate::app::resources::AppResources;
use crate::app::supervisor;
use crate::app::traffic::{Traffic, VersionBeside};
use crate::config::AppConfig;
use crate::observe::version_name::{MARK, app_of};

/// What runs a version.
#[derive(Debug)]
struct Order {
    config: AppConfig,
    beside: Beside,
    registered: oneshot::Sender<Arc<App>>,
}

/// The way to the thread that runs the supervisors.
#[derive(Debug)]
pub(super) struct Orders(mpsc::UnboundedSender<Order>);

/// The other end of it.
#[derive(Debug)]
pub(super) struct Ordered(mpsc::UnboundedReceiver<Order>);

/// To nowhere.
impl Default for Orders {
    fn default() -> Self {
        Self::channel().0
    }
}

impl Orders {
    pub(super) fn channel() -> (Self, Ordered) {
        let (orders, ordered) = mpsc::unbounded_channel();
        (Self(orders), Ordered(ordered))
    }
}

impl Ordered {
    /// Registers the versions that are ordered on this thread, as long as there are `resources`.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(super) fn carry_out(mut self, resources: &Rc<AppResources>, call_sink: Arc<dyn CallSink>) {
        let resources = Rc::downgrade(resources);
        tokio::task::spawn_local(async move {
            while let Some(Order { config, beside, registered }) = self.0.recv().await {
                let Some(resources) = Weak::upgrade(&resources) else { return };
                let app = supervisor::register(&config, &resources, call_sink.clone(), Some(beside));
                if let Err(app) = registered.send(app) {
                    // Nobody has it.
                    tokio::task::spawn_local(async move { app.close().await });
                }
            }
        });
    }
}

impl Registry {
    /// The app of this name, or the version of this name, if everyone can reach it.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<App>> {
        self.get(name).or_else(|| self.open_version(name))
    }

    fn open_version(&self, name: &str) -> Option<Arc<App>> {
        if !name.contains(MARK) {
            return None;
        }
        let traffic = self.get(app_of(name))?.traffic()?;
        let version =
            traffic.versions().iter().find(|version| version.is_open && **version.app.name() == *name);
        version.map(|version| version.app.clone())
    }

    /// All apps, each followed by its versions that serve beside the current one.
    pub(crate) fn apps_and_versions(&self) -> Vec<Arc<App>> {
        let mut all = Vec::new();
        for app in self.apps() {
            let traffic = app.traffic();
            all.push(app);
            all.extend(
                traffic.iter().flat_map(|traffic| traffic.versions()).map(|version| version.app.clone()),
            );
        }
        all
    }

    /// Makes an app of a version, which gets no requests yet; `None`: the host is shutting down. Its caller [closes](App::close)
    /// it, unless it becomes a part of the app's [traffic](Self::set_traffic).
    pub(crate) async fn register_version(&self, config: AppConfig, beside: Beside) -> Option<Arc<App>> {
        let (registered, app) = oneshot::channel();
        self.orders.0.send(Order { config, beside, registered }).ok()?;
        app.await.ok()
    }

    /// Splits the requests to an app as this, from now on. Returns the versions that are no longer part of it, which are still
    /// running; `None`: the app is no longer registered.
    pub(crate) fn set_traffic(&self, app: &str, versions: Vec<VersionBeside>) -> Option<Vec<Arc<App>>> {
        // No app is removed meanwhile, so that each version is closed with its app.
        let _configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let app = self.get(app)?;
        let kept: Vec<Arc<App>> = versions.iter().map(|version| version.app.clone()).collect();
        let traffic = Traffic::new(app.name().clone(), versions);
        let before = app.set_traffic((!kept.is_empty()).then(|| Arc::new(traffic)));
        let before = before.iter().flat_map(|before| before.versions()).map(|version| version.app.clone());
        Some(before.filter(|before| !kept.iter().any(|kept| Arc::ptr_eq(kept, before))).collect())
    }
}

/// Takes an app down that is no longer registered, with its versions.
pub(super) async fn close_with_versions(app: &App) {
    let traffic = app.set_traffic(None);
    let versions = traffic.iter().flat_map(|traffic| traffic.versions()).map(|version| version.app.clone());
    let versions: Vec<Arc<App>> = versions.collect();
    tokio::join!(app.close(), join_all(versions.iter().map(|version| version.close())));
}
