//! Which libraries of a fleet no version needs any more.

use std::collections::BTreeSet;
use std::time::Duration;

use super::record::{Record, Target};

/// A library in the object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredLibrary {
    /// The BLAKE3 hash of its content, in hexadecimal.
    pub(super) hash: String,
    /// When it was last uploaded or needed by an upload, in milliseconds since 1970.
    pub(super) used_ms: u64,
}

/// Whether something that was last used then is old enough to be removed: an upload that needs it may not have written its record
/// yet.
pub(super) fn is_old(used_ms: u64, age: Duration, now_ms: u64) -> bool {
    now_ms.saturating_sub(used_ms) as u128 >= age.as_millis()
}

/// Whether no record needs a library, and it is so old.
pub(super) fn is_unused(library: &StoredLibrary, records: &[Record], age: Duration, now_ms: u64) -> bool {
    is_old(library.used_ms, age, now_ms) && !needed(records).contains(&*library.hash)
}

/// The libraries of all versions that hosts are to have, or can go back to.
fn needed(records: &[Record]) -> BTreeSet<&str> {
    let targets = records.iter().flat_map(|record| record.history.iter().chain([&record.target]));
    let releases = targets.filter_map(Target::release);
    let libraries = releases
        .flat_map(|release| release.libraries.iter().map(|shared| &*shared.hash).chain([&*release.library]));
    libraries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::SharedLibrary;
    use crate::fleet::record::tests::release;
    use crate::fleet::record::{Release, Wave};

    #[test]
    fn what_a_version_needs_stays_and_what_is_new() {
        let shared = SharedLibrary { name: "libx.so".into(), hash: "x".into() };
        let one = Release { library: "a".into(), libraries: vec![shared], ..release("1") };
        let two = Release { library: "b".into(), ..release("2") };
        let first = Record::begin(None, "app", one, Wave::All).unwrap().unwrap();
        let second = Record::begin(Some(&first), "app", two, Wave::All).unwrap().unwrap();
        let age = Duration::from_secs(1);
        let is_unused = |hash: &str, used_ms| {
            is_unused(&StoredLibrary { hash: hash.into(), used_ms }, std::slice::from_ref(&second), age, 2000)
        };
        assert_eq!(["a", "x", "b", "c"].map(|hash| is_unused(hash, 0)), [false, false, false, true]);
        assert_eq!([999, 1000, 1001, 9000].map(|used| is_unused("c", used)), [true, true, false, false]);
    }
}
