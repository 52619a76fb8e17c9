//! The table of apps, for lookups.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use crate::app::handle::App;
use crate::config::MAX_APP_NAME;
use crate::dispatch::routes::Routes;

/// How many edits may lie between an unknown name and the one that is suggested for it.
const MAX_EDITS: usize = 2;

/// What requests are looked up in.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) apps: HashMap<String, Arc<App>>,
    pub(crate) routes: Routes<Arc<App>>,
}

/// The registered apps by name and by route. Reading is free of locks; clones are the same index.
#[derive(Clone, Debug, Default)]
pub(crate) struct AppIndex(Arc<ArcSwap<Table>>);

impl AppIndex {
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

    /// The message about a name that no app has: with the nearest name that one has.
    pub(crate) fn no_such_app(&self, name: &str) -> String {
        if name.len() > MAX_APP_NAME {
            let length = name.len();
            return format!(
                "Unknown app: the name has {length} bytes; app names have at most {MAX_APP_NAME}."
            );
        }
        let table = self.table();
        let near = nearest(name, table.apps.keys().map(String::as_str));
        let hint = near.map_or_else(
            || " Register it in apps.json.".to_owned(),
            |known| format!(" Did you mean `{known}`?"),
        );
        format!("Unknown app `{name}`.{hint}")
    }
}

/// The known name that takes the fewest edits to become from `name`, if [`MAX_EDITS`] are enough. Among several, the first in the alphabet.
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        // Most names differ too much in length, which costs nothing to see.
        .filter(|known| known.len().abs_diff(name.len()) <= MAX_EDITS)
        .map(|known| (edits(name, known), known))
        .filter(|(edits, _)| *edits <= MAX_EDITS)
        .min()
        .map(|(_, known)| known)
}

/// How many edits lead from one name to the other. What they have in common at both ends is taken off first: names such
/// as `shop-1` and `shop-2` then cost no more than a comparison.
fn edits(a: &str, b: &str) -> usize {
    let start: usize = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (a, b) = (&a[start..], &b[start..]);
    let ends = a.chars().rev().zip(b.chars().rev());
    let end: usize = ends.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    strsim::osa_distance(&a[..a.len() - end], &b[..b.len() - end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["hello", "help", "shop-1", "shop-2", "a", "x".repeat(MAX_APP_NAME).leak()];
        for (name, meant) in [
            ("helo", Some("hello")),
            ("hlelo", Some("hello")),
            ("hel", Some("help")),
            ("shop-3", Some("shop-1")),
            ("shop2", Some("shop-2")),
            ("hello", Some("hello")),
            ("żółw", None),
            ("helló", Some("hello")),
            ("goodbye", None),
            (&"x".repeat(MAX_APP_NAME - 2), Some(known[5])),
            (&"x".repeat(MAX_APP_NAME - 3), None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
    }

    #[test]
    fn no_name_is_compared_with_one_that_no_app_can_have() {
        let index = AppIndex::default();
        let longest = "x".repeat(MAX_APP_NAME);
        assert!(index.no_such_app(&longest).contains(&longest));
        let message = index.no_such_app(&"x".repeat(MAX_APP_NAME + 1));
        assert!(message.contains("65 bytes") && !message.contains("xx"), "{message}");
    }

    #[test]
    fn many_long_names_are_compared_in_a_moment() {
        let known: Vec<String> = (0..1_000).map(|n| format!("{n:04}{}", "ab".repeat(30))).collect();
        let begun = std::time::Instant::now();
        let found = nearest(&format!("x{}x", "ba".repeat(31)), known.iter().map(String::as_str));
        // A hundredth of that in an optimised build.
        assert!(
            found.is_none() && begun.elapsed() < std::time::Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    }
}
