//! Amounts by app and library.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::amounts::Amounts;

/// How many libraries of all apps are kept apart in one hour, and in the time before the hours that are kept.
pub(crate) const LIBRARIES: usize = 4096;

/// What stands for the libraries of an app, or the apps, that are not kept apart: it is the name of none.
const OTHERS: &str = "*";

/// Which app, and which library of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The app's name.
    pub(crate) app: Arc<str>,
    /// The beginning of the hash of the library's content.
    pub(crate) library: Arc<str>,
}

/// Amounts by app and library. Clones share them until one of them changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows(Arc<BTreeMap<Key, Amounts>>);

impl Rows {
    /// Adds what a library has used. Where there are too many, it counts among others: nothing is lost.
    pub(crate) fn add(&mut self, key: &Key, amounts: &Amounts) {
        if amounts.is_zero() {
            return;
        }
        let rows = Arc::make_mut(&mut self.0);
        if let Some(row) = rows.get_mut(key) {
            return row.add(amounts);
        }
        let others: Arc<str> = OTHERS.into();
        let of_app = Key { library: others.clone(), ..key.clone() };
        let key = if rows.len() < LIBRARIES {
            key.clone()
        } else if rows.contains_key(&of_app) || rows.len() < 2 * LIBRARIES {
            of_app
        } else {
            Key { app: others.clone(), library: others }
        };
        rows.entry(key).or_default().add(amounts);
    }

    /// Adds all rows of another list.
    pub(crate) fn add_all(&mut self, others: &Self) {
        others.iter().for_each(|(key, amounts)| self.add(key, amounts));
    }

    /// Adds all rows of another list, each app's together.
    pub(crate) fn add_by_app(&mut self, others: &Self) {
        let library: Arc<str> = OTHERS.into();
        for (key, amounts) in others.iter() {
            self.add(&Key { app: key.app.clone(), library: library.clone() }, amounts);
        }
    }

    /// The rows, by app and library.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Amounts)> {
        self.0.iter()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A row as it is written.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    app: Cow<'a, str>,
    library: Cow<'a, str>,
    #[serde(flatten)]
    amounts: Amounts,
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|(key, amounts)| Written {
            app: (&*key.app).into(),
            library: (&*key.library).into(),
            amounts: *amounts,
        }))
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut rows = BTreeMap::<Key, Amounts>::new();
        for Written { app, library, amounts } in Vec::<Written<'_>>::deserialize(deserializer)? {
            let key = Key { app: app.into(), library: library.into() };
            rows.entry(key).or_default().add(&amounts);
        }
        Ok(Self(rows.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(app: &str, library: &str) -> Key {
        Key { app: app.into(), library: library.into() }
    }

    #[test]
    fn libraries_and_apps_beyond_the_limit_count_among_others() {
        let one = Amounts { requests: 1, ..Amounts::default() };
        let mut rows = Rows::default();
        for number in 0..LIBRARIES + 3 {
            rows.add(&key("a", &format!("{number:012x}")), &one);
        }
        assert_eq!(rows.len(), LIBRARIES + 1);
        assert_eq!(rows.0[&key("a", OTHERS)].requests, 3);
        rows.add(&key("a", &format!("{:012x}", 0)), &one);
        assert_eq!(rows.0[&key("a", &format!("{:012x}", 0))].requests, 2, "one that is known stays apart");
        for number in 0..2 * LIBRARIES {
            rows.add(&key(&format!("b{number}"), "x"), &one);
        }
        assert_eq!(rows.len(), 2 * LIBRARIES + 1);
        let all: u64 = rows.iter().map(|(_, amounts)| amounts.requests).sum();
        assert_eq!(all, (LIBRARIES + 4 + 2 * LIBRARIES) as u64, "nothing is lost");
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(serde_json::from_str::<Rows>(&text).unwrap(), rows);
    }

    #[test]
    fn a_clone_takes_no_memory_until_one_of_them_changes() {
        let one = Amounts { requests: 1, ..Amounts::default() };
        let mut rows = Rows::default();
        rows.add(&key("a", "1"), &one);
        let before = rows.clone();
        assert!(Arc::ptr_eq(&rows.0, &before.0));
        rows.add(&key("a", "1"), &Amounts::default());
        assert!(Arc::ptr_eq(&rows.0, &before.0), "nothing was added");
        rows.add(&key("a", "2"), &one);
        assert_eq!((rows.len(), before.len()), (2, 1));
    }
}
