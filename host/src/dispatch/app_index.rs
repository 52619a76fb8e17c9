//! The table of apps, for lookups.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use crate::app::handle::App;
use crate::config::{MAX_APP_NAME, nearest_app};
use crate::dispatch::routes::Routes;

/// What requests are looked up in.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The registered apps.
    pub(crate) apps: HashMap<String, Arc<App>>,
    /// What takes the requests to an app: the app, or what stands for it on other hosts of the fleet.
    pub(crate) serving: HashMap<String, Arc<App>>,
    /// The registered apps that something stands for.
    pub(crate) stood_for: HashMap<String, Arc<App>>,
    pub(crate) routes: Routes<Arc<App>>,
}

impl Table {
    /// What takes the requests to an app that was found: the app itself as soon as it takes requests again, also before what stands
    /// for it is removed.
    pub(crate) fn taker(&self, found: &Arc<App>) -> Arc<App> {
        let here = if self.stood_for.is_empty() { None } else { self.stood_for.get(&**found.name()) };
        here.filter(|app| app.phase().takes_requests()).unwrap_or(found).clone()
    }
}

/// The registered apps, and those of other hosts of the fleet, by name and by route. Reading is free of locks; clones are the same
/// index.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppIndex(Arc<ArcSwap<Table>>);

impl AppIndex {
    /// What takes the requests to the app of this name, on this host or on others.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<App>> {
        let table = self.table();
        table.serving.get(name).map(|found| table.taker(found))
    }

    /// The registered app of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<App>> {
        self.table().apps.get(name).cloned()
    }

    /// All there is, as it is now.
    pub(crate) fn table(&self) -> impl Deref<Target = Arc<Table>> {
        self.0.load()
    }

    /// Replaces all; what was there.
    pub(crate) fn replace(&self, table: Table) -> Arc<Table> {
        self.0.swap(Arc::new(table))
    }

    /// The message about a name that no app has: with the nearest name that one has.
    pub(crate) fn no_such_app(&self, name: &str) -> String {
        if name.len() > MAX_APP_NAME {
            let length = name.len();
            return format!(
                "Unknown app: the name has {length} bytes; app names have at most {MAX_APP_NAME}."
            );
        }
        let table = self.table();
        let near = nearest_app(name, table.serving.keys().map(String::as_str));
        let hint = near.map_or_else(
            || " Register it in apps.json.".to_owned(),
            |known| format!(" Did you mean `{known}`?"),
        );
        format!("Unknown app `{name}`.{hint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_compared_with_one_that_no_app_can_have() {
        let index = AppIndex::default();
        let longest = "x".repeat(MAX_APP_NAME);
        assert!(index.no_such_app(&longest).contains(&longest));
        let message = index.no_such_app(&"x".repeat(MAX_APP_NAME + 1));
        assert!(message.contains("65 bytes") && !message.contains("xx"), "{message}");
    }
}
