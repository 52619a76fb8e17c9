//! The list of an app's versions.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::error::VersionError;
use super::rollout::Rollout;
use super::traffic::Share;
use super::version::Version;

/// What stands for the newest version that is not the current one. No id begins so.
const NEWEST: &str = "new";

/// The versions of an app, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) versions: Vec<Version>,
    /// The id of the one that serves.
    pub(crate) current: Option<String>,
    /// The id of the one that is being promoted: its files replace those of the current one, one after the other.
    #[serde(default)]
    pub(crate) promoting: Option<String>,
    /// Those that serve beside the current one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) beside: Vec<Share>,
    /// The last rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rollout: Option<Rollout>,
}

impl Index {
    /// The version with this id, or the only one whose id begins so, or the newest that is not the current one for `new`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(crate) fn find(&self, app: &str, id: &str) -> Result<&Version, VersionError> {
        if id == NEWEST {
            let newest = self.versions.iter().find(|version| Some(&version.id) != self.current.as_ref());
            return newest.ok_or_else(|| VersionError::NoOther(app.to_owned()));
        }
        let mut found = self.versions.iter().filter(|version| !id.is_empty() && version.id.starts_with(id));
        match (found.next(), found.next()) {
            (Some(version), None) => Ok(version),
            (None, _) => Err(VersionError::Unknown { app: app.to_owned(), version: id.to_owned() }),
            (Some(first), Some(second)) => {
                let found = [first, second].into_iter().chain(found).map(|version| version.id.clone());
                let (app, version) = (app.to_owned(), id.to_owned());
                Err(VersionError::Ambiguous { app, version, found: found.collect() })
            }
        }
    }

    /// The version that served before the current one.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn previous(&self, app: &str) -> Result<&Version, VersionError> {
        let others = self.versions.iter().filter(|version| Some(&version.id) != self.current.as_ref());
        let good = others.filter(|version| version.failure.is_none() && version.promoted_ms.is_some());
        let latest = good.max_by_key(|version| version.promoted_ms);
        latest.ok_or_else(|| VersionError::NoPrevious(app.to_owned()))
    }

    /// Adds a version as the newest; one with the same id keeps what is known of it, but for what is new: who pushed it, and
    /// the note.
    pub(super) fn add(&mut self, new: Version) {
        let known = self.versions.iter().position(|version| version.id == new.id);
        let new = match known.map(|at| self.versions.remove(at)) {
            None => new,
            Some(known) => Version {
                by: new.by.or(known.by),
                note: new.note.or(known.note),
                promoted_ms: new.promoted_ms.or(known.promoted_ms),
                failure: known.failure,
                held: known.held,
                created_ms: known.created_ms,
                ..new
            },
        };
        self.versions.insert(0, new);
    }

    /// Changes what is known of a version.
    pub(super) fn update(&mut self, id: &str, change: impl FnOnce(&mut Version)) {
        if let Some(version) = self.versions.iter_mut().find(|version| version.id == id) {
            change(version);
        }
    }

    /// Forgets all but the current version, those beside it and the newest: `keep` of those that have served, and as many, at least one, of
    /// those that are staged and of those that failed.
    pub(super) fn prune(&mut self, keep: usize) {
        let newest = |wanted: fn(&Version) -> bool, keep: usize| {
            let mut found: Vec<&Version> = self
                .versions
                .iter()
                .filter(|version| Some(&version.id) != self.current.as_ref() && wanted(version))
                .collect();
            found.sort_by_key(|version| Reverse(version.promoted_ms.unwrap_or(version.created_ms)));
            found.into_iter().take(keep).map(|version| version.id.clone()).collect::<Vec<_>>()
        };
        let mut kept = newest(|version| version.failure.is_none() && version.promoted_ms.is_some(), keep);
        kept.extend(newest(
            |version| version.failure.is_none() && version.promoted_ms.is_none(),
            keep.max(1),
        ));
        kept.extend(newest(|version| version.failure.is_some(), keep.max(1)));
        kept.extend(self.current.clone());
        kept.extend(self.ids_beside().into_iter().map(str::to_owned));
        self.versions.retain(|version| kept.contains(&version.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Entry;

    fn version(id: &str, created_ms: u64, promoted_ms: Option<u64>) -> Version {
        Version {
            id: id.into(),
            library: String::new(),
            libraries: Vec::new(),
            entry: Entry::new(),
            hash: String::new(),
            size: 0,
            package: String::new(),
            rustc: String::new(),
            created_ms,
            by: None,
            note: None,
            promoted_ms,
            failure: None,
            held: false,
        }
    }

    fn index(versions: &[(&str, u64, Option<u64>)], current: &str) -> Index {
        let mut index = Index { current: Some(current.into()), ..Index::default() };
        versions.iter().for_each(|(id, created, promoted)| index.add(version(id, *created, *promoted)));
        index
    }

    fn ids(index: &Index) -> Vec<&str> {
        index.versions.iter().map(|version| version.id.as_str()).collect()
    }

    #[test]
    fn a_version_is_found_by_the_beginning_of_its_id() {
        let index = index(&[("aa1", 1, None), ("aa2", 2, None), ("bb1", 3, None)], "aa1");
        assert_eq!(index.find("a", "b").unwrap().id, "bb1");
        assert_eq!(index.find("a", "aa2").unwrap().id, "aa2");
        assert!(matches!(index.find("a", "aa"), Err(VersionError::Ambiguous { .. })));
        assert_eq!(index.find("a", "new").unwrap().id, "bb1");
        for unknown in ["", "c", "aa1x"] {
            assert!(matches!(index.find("a", unknown), Err(VersionError::Unknown { .. })), "{unknown}");
        }
    }

    #[test]
    fn the_one_before_is_the_one_that_served_last() {
        let mut all = index(&[("a", 1, Some(1)), ("b", 2, Some(2)), ("c", 3, None), ("d", 4, Some(4))], "d");
        assert_eq!(all.previous("x").unwrap().id, "b");
        all.update("b", |version| version.failure = Some("it panicked".into()));
        assert_eq!(all.previous("x").unwrap().id, "a");
        let alone = index(&[("a", 1, Some(1)), ("b", 2, None)], "a");
        assert!(matches!(alone.previous("x"), Err(VersionError::NoPrevious(_))));
    }

    #[test]
    fn the_newest_are_kept_and_the_current_one_always() {
        let all = [("a", 1, Some(1)), ("b", 2, Some(2)), ("c", 3, Some(3)), ("d", 4, None), ("e", 5, None)];
        for (keep, current, kept) in [
            (2, "a", vec!["e", "d", "c", "b", "a"]),
            (1, "a", vec!["e", "c", "a"]),
            (0, "a", vec!["e", "a"]),
            (1, "c", vec!["e", "c", "b"]),
        ] {
            let mut index = index(&all, current);
            index.prune(keep);
            assert_eq!(ids(&index), kept, "{keep} {current}");
        }
    }

    #[test]
    fn failures_do_not_push_out_what_is_good() {
        let mut all =
            index(&[("a", 1, Some(1)), ("b", 2, Some(2)), ("c", 3, Some(3)), ("d", 4, Some(4))], "b");
        for id in ["c", "d"] {
            all.update(id, |version| version.failure = Some("it panicked".into()));
        }
        all.prune(1);
        assert_eq!(ids(&all), ["d", "b", "a"]);
    }

    #[test]
    fn the_same_content_is_one_version() {
        let mut all = index(&[("a", 1, Some(1)), ("b", 2, Some(2))], "b");
        all.add(Version { note: Some("again".into()), ..version("a", 9, None) });
        let again = &all.versions[0];
        assert_eq!((again.created_ms, again.promoted_ms, again.note.as_deref()), (1, Some(1), Some("again")));
        assert_eq!(ids(&all), ["a", "b"]);
    }
}
