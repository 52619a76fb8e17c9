//! Apps by name, for whoever looks one up.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::app::App;

pub(crate) type Apps = HashMap<String, Arc<App>>;

/// The registered apps by name. Reading is free of locks; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory(Arc<ArcSwap<Apps>>);

impl Directory {
    /// The app of this name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<App>> {
        self.0.load().get(name).cloned()
    }

    /// All apps, as they are now.
    pub(crate) fn apps(&self) -> Arc<Apps> {
        self.0.load_full()
    }

    /// Replaces all apps; those that were there.
    pub(crate) fn replace(&self, apps: Apps) -> Arc<Apps> {
        self.0.swap(Arc::new(apps))
    }

    /// What is said of a name that no app has: with the nearest name that one has.
    pub(crate) fn no_such_app(&self, name: &str) -> String {
        let apps = self.0.load();
        let near = apps
            .keys()
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .filter(|(distance, _)| *distance <= 2)
            .min()
            .map(|(_, known)| format!(" Did you mean `{known}`?"));
        let hint = near.unwrap_or_else(|| " Register it in apps.json.".to_owned());
        format!("No app is named `{name}`.{hint}")
    }
}
