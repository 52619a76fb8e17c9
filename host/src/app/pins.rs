//! The generations that stay in the process although they are retired, because they cannot be unloaded safely.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

/// With more pinned generations than this in the host, each further one is a warning.
const MANY: usize = 16;

/// A generation that is kept in the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PinnedGeneration {
    /// Its app's name.
    pub app: String,
    /// Its number.
    pub generation: u64,
    /// Why it could not be unloaded.
    pub reason: String,
}

/// The list of them, as it is at any time. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    list: Arc<Mutex<List>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct List {
    entries: Vec<(u64, PinnedGeneration)>,
    next: u64,
}

/// An entry of the list. Dropping it leaves the entry there: the generation stays for good.
#[derive(Debug)]
pub(crate) struct Entry(u64);

impl Pins {
    pub(crate) fn new() -> Self {
        Self { list: Arc::default(), changed: watch::Sender::new(()) }
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<PinnedGeneration> {
        self.lock().entries.iter().map(|(_, pinned)| pinned.clone()).collect()
    }

    /// How many the app of this name has.
    pub(crate) fn count(&self, app: &str) -> usize {
        self.lock().entries.iter().filter(|(_, pinned)| pinned.app == app).count()
    }

    /// What tells that there are more or fewer.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Adds one.
    pub(crate) fn add(&self, pinned: PinnedGeneration) -> Entry {
        let (entry, count) = {
            let mut list = self.lock();
            let entry = list.next;
            list.next += 1;
            list.entries.push((entry, pinned));
            (Entry(entry), list.entries.len())
        };
        if count > MANY {
            log::warn!("{count} generations are pinned: restart the host to free their memory");
        }
        self.changed.send_replace(());
        entry
    }

    /// Changes why one is there; whether that is another reason.
    pub(crate) fn set_reason(&self, entry: &Entry, reason: &str) -> bool {
        let mut list = self.lock();
        let found = list.entries.iter_mut().find(|(number, _)| *number == entry.0);
        found.is_some_and(|(_, pinned)| {
            let other = pinned.reason != reason;
            if other {
                reason.clone_into(&mut pinned.reason);
            }
            other
        })
    }

    /// Takes one off, as it is unloaded.
    pub(crate) fn remove(&self, entry: Entry) {
        self.lock().entries.retain(|(number, _)| *number != entry.0);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(app: &str, generation: u64) -> PinnedGeneration {
        PinnedGeneration { app: app.to_owned(), generation, reason: "a thread runs".to_owned() }
    }

    #[test]
    fn each_entry_is_itself_also_with_the_same_number() {
        let pins = Pins::new();
        let changes = pins.changes();
        let first = pins.add(pinned("a", 1));
        // The app was removed, and registered again.
        let again = pins.add(pinned("a", 1));
        pins.add(pinned("b", 1));
        assert_eq!((pins.count("a"), pins.count("b"), pins.count("c")), (2, 1, 0));
        assert!(changes.has_changed().unwrap());
        assert!(pins.set_reason(&again, "another one") && !pins.set_reason(&again, "another one"));
        pins.remove(first);
        assert_eq!(pins.list()[0].reason, "another one");
        assert_eq!((pins.count("a"), pins.list().len()), (1, 2));
    }
}
