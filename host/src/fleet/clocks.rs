//! Times by the clocks of other hosts.
//!
//! They affect only what a host shows. NATS gives each report a timestamp: by how much the time at which the host has sent it is later
//! is how far its clock is ahead, less the time that the report took to NATS.

use std::collections::BTreeMap;

use super::presence::Presence;
use super::status::{FleetApp, FleetHost};

/// The clocks of the hosts of a fleet.
#[derive(Debug)]
pub(super) struct Clocks<'p> {
    /// How far that of this host is ahead of that of NATS, in milliseconds; `None`: that is not known.
    own: Option<i64>,
    /// How far those of all hosts are.
    ahead: BTreeMap<&'p str, i64>,
}

impl<'p> Clocks<'p> {
    /// Those of the hosts with these presences, as seen by the host `own`.
    pub(super) fn of(hosts: &[&'p Presence], own: &str) -> Self {
        let ahead = hosts.iter().filter_map(|host| Some((&*host.host, host.ahead_ms?)));
        let ahead: BTreeMap<_, _> = ahead.collect();
        Self { own: ahead.get(own).copied(), ahead }
    }

    /// How far the clock of a host is ahead of that of this one.
    fn ahead(&self, host: &str) -> Option<i64> {
        Some(self.ahead.get(host)?.saturating_sub(self.own?))
    }

    /// A time by the clock of a host, by that of this one.
    fn here(&self, host: &str, ms: u64) -> u64 {
        self.ahead(host).map_or(ms, |ahead| ms.saturating_add_signed(ahead.saturating_neg()))
    }

    /// Has all times that others have written in what is shown be by the clock of this host. `written`: when the records of the apps
    /// were written, by that of NATS.
    pub(super) fn adjust(
        &self,
        hosts: &mut [FleetHost],
        apps: &mut [FleetApp],
        written: &BTreeMap<String, u64>,
    ) {
        for host in hosts {
            host.started_ms = self.here(&host.name, host.started_ms);
            host.clock_ahead_ms = self.ahead(&host.name);
        }
        for app in apps {
            if let Some(holder) = &mut app.holder {
                holder.since_ms = self.here(&holder.host, holder.since_ms);
            }
            let Some((written, own)) = written.get(&app.name).zip(self.own) else { continue };
            for since in app.hosts.iter_mut().filter_map(|host| host.out_of_date_since_ms.as_mut()) {
                *since = written.saturating_add_signed(own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Holder;
    use crate::fleet::record::Wave;
    use crate::fleet::record::tests::begun;
    use crate::fleet::status::view;
    use crate::fleet::waves::tests::host;

    const HOUR: i64 = 3_600_000;
    const NOW: u64 = 100 * HOUR as u64;

    fn with_clock(name: &str, version: &str, ahead_ms: Option<i64>) -> Presence {
        let started_ms = (NOW - 1000).saturating_add_signed(ahead_ms.unwrap_or(0));
        Presence { ahead_ms, started_ms, ..host(name, version) }
    }

    #[test]
    fn times_are_shown_by_the_clock_of_the_host_that_shows_them() {
        let [a, b, c] = [("a", "2", Some(-HOUR)), ("b", "1", Some(HOUR)), ("c", "2", None)]
            .map(|(name, version, ahead)| with_clock(name, version, ahead));
        let records = BTreeMap::from([("app".to_owned(), begun(None, "2", Wave::All))]);
        let since_ms = NOW.saturating_add_signed(HOUR) - 500;
        let holders = BTreeMap::from([("app".to_owned(), Holder { host: "b".into(), since_ms })]);
        let written = BTreeMap::from([("app".to_owned(), NOW - 7)]);
        let seen_by = |own: &str| {
            let all = [&a, &b, &c];
            let (mut hosts, mut apps) = view(&all, &records, &holders);
            Clocks::of(&all, own).adjust(&mut hosts, &mut apps, &written);
            (hosts, apps.remove(0))
        };
        // By the clock of each, it started a second ago, and so on.
        for (own, now, ahead) in
            [("a", NOW - HOUR as u64, [0, 2 * HOUR]), ("b", NOW + HOUR as u64, [-2 * HOUR, 0])]
        {
            let (hosts, app) = seen_by(own);
            assert_eq!([hosts[0].started_ms, hosts[1].started_ms], [now - 1000; 2]);
            assert_eq!([hosts[0].clock_ahead_ms, hosts[1].clock_ahead_ms], ahead.map(Some));
            assert_eq!(app.holder.unwrap().since_ms, now - 500);
            assert_eq!(app.hosts[1].out_of_date_since_ms, Some(now - 7));
            // One of an earlier version of Atoll does not report its clock.
            assert_eq!((hosts[2].started_ms, hosts[2].clock_ahead_ms), (NOW - 1000, None));
        }
        let (hosts, app) = seen_by("c");
        assert_eq!(hosts.iter().filter_map(|host| host.clock_ahead_ms).count(), 0);
        assert_eq!((app.holder.unwrap().since_ms, app.hosts[1].out_of_date_since_ms), (since_ms, Some(1)));
    }
}
