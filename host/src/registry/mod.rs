//! The registered apps, by name.

mod beside;
mod elsewhere;
mod quota_status;
mod quotas;
mod registrar;
mod versions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::sync::watch;

use crate::app::handle::App;
use crate::config::{AppConfig, Config, Quota, Route};
use crate::dispatch::app_index::{AppIndex, Table};
use crate::observe::unix_time::now_ms;
use crate::observe::usage::Ledger;

use self::beside::{Orders, close_with_versions};
use self::elsewhere::table;
use self::quotas::Quotas;

pub(crate) use self::elsewhere::AppElsewhere;
pub use self::quota_status::{QuotaLevel, QuotaStatus, QuotaUsage};
pub(crate) use self::quotas::WARNING_PERCENT;
pub use self::registrar::{Registrar, RegistrarBuilder};

/// The registered apps. Reading is free of locks; a [`Registrar`] changes it.
#[derive(Debug, Default)]
pub struct Registry {
    index: AppIndex,
    /// What was last applied.
    configs: Mutex<HashMap<String, AppConfig>>,
    /// Notifies that something was applied.
    applied: watch::Sender<()>,
    quotas: Quotas,
    /// To the thread that runs the supervisors.
    orders: Orders,
    /// The apps whose requests go to other hosts.
    elsewhere: Mutex<Vec<AppElsewhere>>,
}

/// What an [`apply`](Registrar::apply) did, by the apps' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Apps that are new.
    pub added: Vec<String>,
    /// Apps that continue with changed settings.
    pub changed: Vec<String>,
    /// Apps that are shutting down.
    pub removed: Vec<String>,
}

impl Changes {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        f.write_str(if parts.is_empty() { "nothing changed" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

impl Registry {
    fn new(orders: Orders) -> Self {
        Self { orders, ..Self::default() }
    }

    /// The app of this name.
    pub fn get(&self, name: &str) -> Option<Arc<App>> {
        self.index.get(name)
    }

    /// What is said of a name that no app has.
    pub(crate) fn no_such_app(&self, name: &str) -> String {
        self.index.no_such_app(name)
    }

    /// The app with a route for this host, as a request has it, and this path; how many bytes of the path the route
    /// takes off.
    pub fn route(&self, host: Option<&str>, path: &str) -> Option<(Arc<App>, usize)> {
        let table = self.index.table();
        table.routes.find(host, path).map(|(found, length)| (table.taker(found), *length))
    }

    /// The routes of an app, besides `/apps/{name}/`.
    pub fn routes(&self, name: &str) -> Vec<Route> {
        let configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        configs.get(name).map(|config| config.routes.clone()).unwrap_or_default()
    }

    /// What was last applied for an app.
    pub(crate) fn config(&self, name: &str) -> Option<AppConfig> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Waits until this is what was last applied for an app; `None`: nothing is.
    pub(crate) async fn applied(&self, name: &str, config: Option<&AppConfig>) {
        let mut applied = self.applied.subscribe();
        while self.config(name).as_ref() != config {
            // The other end lives as long as this.
            let _ = applied.changed().await;
        }
    }

    /// The apps for which this holds, in any order.
    pub(crate) fn apps_that(&self, holds: impl Fn(&App) -> bool) -> Vec<Arc<App>> {
        self.index.table().apps.values().filter(|app| holds(app)).cloned().collect()
    }

    /// All apps, by name.
    pub fn apps(&self) -> Vec<Arc<App>> {
        let mut apps: Vec<_> = self.index.table().apps.values().cloned().collect();
        apps.sort_by(|a, b| a.name().cmp(b.name()));
        apps
    }

    /// Applies a configuration; `register` starts an app that is new.
    fn apply(&self, config: &Config, register: impl Fn(&AppConfig) -> Arc<App>) -> Changes {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut apps = self.index.table().apps.clone();
        let mut changes = Changes::default();
        let wanted: HashMap<String, AppConfig> =
            config.apps.iter().map(|app| (app.name.clone(), app.clone())).collect();

        for (name, _) in configs.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            if let Some(app) = apps.remove(name) {
                tokio::task::spawn_local(async move { close_with_versions(&app).await });
            }
            changes.removed.push(name.clone());
        }
        for (name, config) in &wanted {
            match configs.get(name) {
                None => {
                    apps.insert(name.clone(), register(config));
                    changes.added.push(name.clone());
                }
                Some(before) if before != config => {
                    match apps.get(name) {
                        Some(app) if before.runs_like(config) => app.adjust(config.settings.clone()),
                        Some(app) => app.configure(config.clone()),
                        None => {}
                    }
                    changes.changed.push(name.clone());
                }
                Some(_) => {}
            }
        }
        for names in [&mut changes.added, &mut changes.changed, &mut changes.removed] {
            names.sort();
        }
        *configs = wanted;
        self.quotas.configure(&config.quotas);
        self.index.replace(table(apps, &configs, &self.elsewhere()));
        drop(configs);
        self.applied.send_replace(());
        changes
    }

    /// Has the requests to these apps go to other hosts, also of apps that are registered here; those to all others stay here.
    #[cfg(feature = "fleet")]
    pub(crate) fn set_elsewhere(&self, elsewhere: Vec<AppElsewhere>) {
        let configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let apps = self.index.table().apps.clone();
        self.index.replace(table(apps, &configs, &elsewhere));
        *self.elsewhere() = elsewhere;
    }

    /// What stands for apps on other hosts.
    pub(crate) fn apps_elsewhere(&self) -> Vec<Arc<App>> {
        self.elsewhere().iter().map(|elsewhere| elsewhere.app.clone()).collect()
    }

    fn elsewhere(&self) -> MutexGuard<'_, Vec<AppElsewhere>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what the apps have used of their quotas by now.
    fn count_quotas(&self, ledger: &Ledger) {
        self.quotas.count(ledger, now_ms(), self.index.table().apps.values());
    }

    /// The quotas in the order of the file, as they were last counted.
    pub(crate) fn quotas(&self) -> Vec<QuotaStatus> {
        self.quotas.list()
    }

    /// The quotas as they are in the file.
    pub(crate) fn quota_limits(&self) -> Vec<Quota> {
        self.quotas().into_iter().map(|status| status.quota).collect()
    }

    /// Takes all apps down, and waits until they are.
    pub async fn close(&self) {
        self.elsewhere().clear();
        let table = self.index.replace(Table::default());
        self.configs.lock().unwrap_or_else(PoisonError::into_inner).clear();
        join_all(table.apps.values().map(|app| close_with_versions(app))).await;
    }
}
