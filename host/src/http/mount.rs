//! Where requests go.

use std::sync::Arc;
use std::time::Duration;

use crate::app::handle::App;
use crate::generation::handle::Generation;
use crate::registry::Registry;

/// Where requests under `/apps/` go.
#[derive(Clone, Debug)]
pub enum Mount {
    /// To the app that the path names.
    Registry(Arc<Registry>),
    /// All paths to one app, which sees them as they are.
    Root(Arc<App>),
}

impl Mount {
    /// Ends the server-sent events and WebSockets of all apps, which would not end by themselves.
    pub(crate) fn cancel_endless(&self) {
        self.serving().iter().for_each(|generation| generation.shutdown().cancel_endless());
    }

    /// Ends them one after the other within this time.
    pub(crate) fn cancel_endless_within(&self, time: Duration) {
        self.serving().iter().for_each(|generation| generation.shutdown().cancel_endless_within(time));
    }

    fn serving(&self) -> Vec<Arc<Generation>> {
        let apps = match self {
            Self::Registry(registry) => {
                registry.apps_and_versions().into_iter().chain(registry.apps_elsewhere()).collect()
            }
            Self::Root(app) => vec![app.clone()],
        };
        apps.iter().filter_map(|app| app.serving()).collect()
    }
}

impl From<Arc<Registry>> for Mount {
    fn from(registry: Arc<Registry>) -> Self {
        Self::Registry(registry)
    }
}

impl From<Arc<App>> for Mount {
    fn from(app: Arc<App>) -> Self {
        Self::Root(app)
    }
}
