//! The table of apps, for whoever looks one up.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use crate::app::App;
use crate::routes::Routes;

/// What requests are looked up in.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) apps: HashMap<String, Arc<App>>,
    pub(crate) routes: Routes<Arc<App>>,
}

/// The registered apps by name and by route. Reading is free of locks; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory(Arc<ArcSwap<Table>>);

impl Directory {
    /// The app of this name.
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

    /// What is said of a name that no app has: with the nearest name that one has.
    pub(crate) fn no_such_app(&self, name: &str) -> String {
        let table = self.table();
        let near = table
            .apps
            .keys()
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .filter(|(distance, _)| *distance <= 2)
            .min()
            .map(|(_, known)| format!(" Did you mean `{known}`?"));
        let hint = near.unwrap_or_else(|| " Register it in apps.json.".to_owned());
        format!("No app is named `{name}`.{hint}")
    }
}
