//! Which versions serve beside the current one, and which clients get them.

use serde::{Deserialize, Serialize};

use super::index::Index;
use crate::config::Slots;

/// A version that serves beside the current one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// The version's id.
    pub(crate) version: String,
    /// The clients that get it.
    pub(crate) slots: Slots,
    /// Whether everyone can reach it by its name.
    #[serde(default)]
    pub(crate) is_open: bool,
    /// Until when it stays, in milliseconds since 1970, if not until someone ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until_ms: Option<u64>,
}

/// What is wanted of a version that serves beside the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedShare {
    /// The version's id.
    pub(crate) version: String,
    /// How many slots it is to have.
    pub(crate) slots: u16,
    pub(crate) is_open: bool,
    /// Until when it stays.
    pub(crate) until_ms: Option<u64>,
}

impl From<&Share> for WantedShare {
    fn from(share: &Share) -> Self {
        let Share { version, slots, is_open, until_ms } = share;
        Self { version: version.clone(), slots: slots.count(), is_open: *is_open, until_ms: *until_ms }
    }
}

impl Index {
    /// The ids of the versions that serve beside the current one.
    pub(crate) fn ids_beside(&self) -> Vec<&str> {
        self.beside.iter().map(|share| &*share.version).collect()
    }

    /// The shares of these versions, in which as many clients as possible keep the version that they have.
    pub(crate) fn shares(&self, wanted: &[WantedShare]) -> Vec<Share> {
        let share = |wanted: &WantedShare| {
            let before = self.beside.iter().find(|share| share.version == wanted.version);
            let mut slots = before.map(|share| share.slots.clone()).unwrap_or_default();
            slots.shrink(wanted.slots);
            let WantedShare { version, is_open, until_ms, .. } = wanted.clone();
            Share { version, slots, is_open, until_ms }
        };
        let mut shares: Vec<Share> = wanted.iter().map(share).collect();
        for (at, wanted) in wanted.iter().enumerate() {
            let others = shares.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<Slots> = others.map(|(_, share)| share.slots.clone()).collect();
            shares[at].slots.grow(wanted.slots, &others);
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_version_gives_up_another_one_may_take() {
        let wanted = |version: &str, slots| WantedShare {
            version: version.into(),
            slots,
            is_open: false,
            until_ms: None,
        };
        let counts = |shares: &[Share]| shares.iter().map(|share| share.slots.count()).collect::<Vec<_>>();
        let mut index = Index::default();
        index.beside = index.shares(&[wanted("a", 9000), wanted("b", 1000)]);
        assert_eq!(counts(&index.beside), [9000, 1000]);
        let before = index.beside.clone();
        index.beside = index.shares(&[wanted("b", 9500), wanted("a", 500)]);
        assert_eq!(counts(&index.beside), [9500, 500]);
        for slot in 0..10_000 {
            let had = |shares: &[Share], version: &str| {
                shares.iter().any(|share| share.version == version && share.slots.contains(slot))
            };
            assert!(!had(&before, "b") || had(&index.beside, "b"), "a client of b lost it while it grew");
        }
        assert_eq!(index.shares(&[]), []);
    }
}
