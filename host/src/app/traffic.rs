//! How the requests to an app are split between its current version and those that serve beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use twox_hash::XxHash64;

use crate::app::handle::App;
use crate::config::{SLOTS, Slots};

/// The versions that serve beside the current version of an app.
#[derive(Debug)]
pub(crate) struct Traffic {
    seed: u64,
    versions: Vec<VersionBeside>,
}

/// A version that serves beside the current one.
#[derive(Clone, Debug)]
pub(crate) struct VersionBeside {
    /// What runs it: an app by the name of the version.
    pub(crate) app: Arc<App>,
    /// The clients that get it.
    pub(crate) slots: Slots,
    /// Whether everyone can reach it by its name.
    pub(crate) is_open: bool,
}

impl VersionBeside {
    /// The version's id.
    pub(crate) fn id(&self) -> &str {
        self.app.version().unwrap_or_default()
    }
}

impl Traffic {
    /// Between the current version of an app and these.
    pub(crate) fn new(app: &str, versions: Vec<VersionBeside>) -> Self {
        Self { seed: seed(app), versions }
    }

    /// The versions beside the current one.
    pub(crate) fn versions(&self) -> &[VersionBeside] {
        &self.versions
    }

    /// The version for a client, by what tells it from others; `None`: the current one. It is the same on all hosts.
    pub(crate) fn of_client(&self, client: &[u8]) -> Option<&Arc<App>> {
        self.at(slot(self.seed, client))
    }

    /// A version for a request without a client: each by its weight.
    pub(crate) fn of_nobody(&self) -> Option<&Arc<App>> {
        self.at(fastrand::u16(..SLOTS))
    }

    fn at(&self, slot: u16) -> Option<&Arc<App>> {
        self.versions.iter().find(|version| version.slots.contains(slot)).map(|version| &version.app)
    }
}

/// What makes the first clients of a new version others in each app.
fn seed(app: &str) -> u64 {
    XxHash64::oneshot(0, app.as_bytes())
}

fn slot(seed: u64, client: &[u8]) -> u16 {
    let hash = XxHash64::oneshot(seed, client);
    // Less than `SLOTS`, which is a `u16`.
    ((u128::from(hash) * u128::from(SLOTS)) >> 64) as u16
}

/// The traffic of an app, which most apps do not split.
#[derive(Debug, Default)]
pub(crate) struct TrafficCell {
    /// Tells requests to the other apps that there is nothing to look at.
    is_split: AtomicBool,
    traffic: ArcSwapOption<Traffic>,
}

impl TrafficCell {
    /// The split, if there is one.
    pub(crate) fn get(&self) -> Option<Arc<Traffic>> {
        if self.is_split.load(Ordering::Acquire) { self.traffic.load_full() } else { None }
    }

    /// Splits from now on as this; what was before.
    pub(crate) fn set(&self, traffic: Option<Arc<Traffic>>) -> Option<Arc<Traffic>> {
        let is_split = traffic.is_some();
        let before = self.traffic.swap(traffic);
        self.is_split.store(is_split, Ordering::Release);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of 100,000 clients, in percent, that have one of these slots.
    fn share(app: &str, slots: &Slots) -> f64 {
        let client = |number: u32| slot(seed(app), &number.to_be_bytes());
        (0..100_000).filter(|number| slots.contains(client(*number))).count() as f64 / 1000.0
    }

    #[test]
    fn versions_get_the_share_of_their_weight() {
        for app in ["shop", "cart", "a"] {
            for percent in [1, 5, 25, 50, 99] {
                let mut slots = Slots::default();
                slots.grow(percent * 100, &[]);
                let found = share(app, &slots);
                assert!((found - f64::from(percent)).abs() <= 0.5, "{app}: {found} instead of {percent}");
            }
        }
    }

    #[test]
    fn clients_differ_by_app_and_stay_the_same() {
        let [shop, cart] = ["shop", "cart"].map(seed);
        assert_ne!(slot(shop, b"10.0.0.1"), slot(cart, b"10.0.0.1"));
        // Other hosts have the same, and other releases.
        assert_eq!([slot(shop, b"10.0.0.1"), slot(shop, b"")], [3701, 8059]);
    }
}
