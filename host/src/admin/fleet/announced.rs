//! What this host has written of itself.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::fleet::{AppPresence, HostApps, Presence};

/// What this host has written of itself, as it is in NATS.
#[derive(Debug, Default)]
pub(super) struct Announced {
    apps: HostApps,
    /// The revisions with which its apps were written last, also of those that it does not have any more.
    revisions: BTreeMap<String, u64>,
    /// The presence, when it was written, and with which revision.
    pub(super) presence: Option<(Presence, Instant, u64)>,
}

impl Announced {
    /// Takes note of what was written of an app, by this process or by another one with the name of this host.
    pub(super) fn note(&mut self, app: &str, found: Option<AppPresence>, revision: u64) {
        let known = self.revisions.entry(app.to_owned()).or_default();
        if revision <= *known {
            return;
        }
        *known = revision;
        match found {
            Some(found) => self.apps.insert(app.to_owned(), found),
            None => self.apps.remove(app),
        };
    }

    /// Its apps.
    pub(super) const fn apps(&self) -> &HostApps {
        &self.apps
    }

    /// The revision with which something of its apps was written last.
    pub(super) fn apps_revision(&self) -> u64 {
        self.revisions.values().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_counts_in_whatever_order_it_is_heard_of() {
        let state = |phase: &str| Some(AppPresence { phase: phase.to_owned(), ..AppPresence::default() });
        let phases = |announced: &Announced| {
            let apps = announced.apps().iter().map(|(app, found)| format!("{app} {}", found.phase));
            apps.collect::<Vec<_>>()
        };
        let mut announced = Announced::default();
        // Another process writes `a` again, between two writes of one report.
        for (app, found, revision) in
            [("a", state("by another"), 105), ("a", state("own"), 100), ("b", state("own"), 110)]
        {
            announced.note(app, found, revision);
        }
        assert_eq!(phases(&announced), ["a by another", "b own"]);
        announced.note("b", None, 111);
        announced.note("b", state("own"), 110);
        assert_eq!(phases(&announced), ["a by another"]);
        assert_eq!(announced.apps_revision(), 111);
    }
}
