//! The apps that run versions beside the current version of their app: how they come, and how they go.

use std::rc::{Rc, Weak};
use std::sync::Arc;

use atoll_port::CallSink;
use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use crate::app::handle::{App, Beside};
use crate::app::resources::AppResources;
use crate::app::supervisor;
use crate::config::AppConfig;

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

    /// Makes an app of a version; `None`: the host is shutting down.
    pub(super) async fn register(&self, config: AppConfig, beside: Beside) -> Option<Arc<App>> {
        let (registered, app) = oneshot::channel();
        self.0.send(Order { config, beside, registered }).ok()?;
        app.await.ok()
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

/// Takes an app down that is no longer registered, with its versions.
pub(super) async fn close_with_versions(app: &App) {
    let traffic = app.set_traffic(None);
    let versions = traffic.iter().flat_map(|traffic| traffic.versions()).map(|version| version.app.clone());
    let versions: Vec<Arc<App>> = versions.collect();
    tokio::join!(app.close(), join_all(versions.iter().map(|version| version.close())));
}
