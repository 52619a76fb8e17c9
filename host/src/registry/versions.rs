//! Versions that serve beside the current version of their app.
//!
//! Each is an app by the name of the version. No path and no call leads to it: the [`Traffic`] of its app does.

use std::sync::{Arc, PoisonError};

use super::Registry;
use crate::app::handle::{App, Beside};
use crate::app::traffic::{Traffic, VersionBeside};
use crate::config::AppConfig;
use crate::observe::version_name::{MARK, app_of};

impl Registry {
    /// What takes the requests to the app of this name, on this host or on others of the fleet, or the version of this name, if
    /// everyone can reach it.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<App>> {
        self.index.find(name).or_else(|| self.open_version(name))
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
        self.orders.register(config, beside).await
    }

    /// Splits the requests to an app as this, from now on. Returns the versions that are no longer part of it, which are still
    /// running; `None`: the app is no longer registered.
    pub(crate) fn set_traffic(&self, app: &str, versions: Vec<VersionBeside>) -> Option<Vec<Arc<App>>> {
        // No app is removed meanwhile, so that each version is closed with its app.
        let _configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let app = self.get(app)?;
        let kept: Vec<Arc<App>> = versions.iter().map(|version| version.app.clone()).collect();
        let traffic = Traffic::new(app.name(), versions);
        let before = app.set_traffic((!kept.is_empty()).then(|| Arc::new(traffic)));
        let before = before.iter().flat_map(|before| before.versions()).map(|version| version.app.clone());
        Some(before.filter(|before| !kept.iter().any(|kept| Arc::ptr_eq(kept, before))).collect())
    }
}
