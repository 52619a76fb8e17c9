//! Where requests go.

use std::sync::Arc;

use crate::app::handle::App;
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
        let apps = match self {
            Self::Registry(registry) => registry.apps(),
            Self::Root(app) => vec![app.clone()],
        };
        for generation in apps.iter().filter_map(|app| app.serving()) {
            generation.shutdown().cancel_endless();
        }
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
