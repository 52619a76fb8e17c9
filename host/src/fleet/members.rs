//! The hosts of a fleet.

use std::collections::BTreeMap;
use std::time::Instant;

use super::limits::PRESENCE_TTL;
use super::presence::{AppPresence, Presence};

/// Apps by their names.
pub(crate) type HostApps = BTreeMap<String, AppPresence>;

/// The hosts of a fleet, with when each was last heard of. NATS does not report that a key has expired, so that each reader
/// measures the time.
#[derive(Clone, Debug, Default)]
pub struct Members {
    hosts: BTreeMap<String, (Presence, Instant)>,
    /// The apps of hosts whose presence is not known.
    apps: BTreeMap<String, HostApps>,
}

impl Members {
    /// Takes note of a presence that has come now. The apps of the host stay as they are known.
    pub fn note(&mut self, mut presence: Presence, now: Instant) {
        let known = self.hosts.remove(&presence.host).map(|(known, _)| known.apps);
        presence.apps = known.or_else(|| self.apps.remove(&presence.host)).unwrap_or_default();
        self.hosts.insert(presence.host.clone(), (presence, now));
    }

    /// Takes note of what a host has of an app; `None`: nothing.
    pub fn note_app(&mut self, host: &str, app: &str, found: Option<AppPresence>) {
        let apps = match self.hosts.get_mut(host) {
            Some((presence, _)) => &mut presence.apps,
            None => self.apps.entry(host.to_owned()).or_default(),
        };
        match found {
            Some(found) => apps.insert(app.to_owned(), found),
            None => apps.remove(app),
        };
    }

    /// Takes note of the apps of all hosts.
    #[cfg(feature = "fleet")]
    pub(crate) fn set_apps(&mut self, mut apps: BTreeMap<String, HostApps>) {
        for (host, (presence, _)) in &mut self.hosts {
            presence.apps = apps.remove(host).unwrap_or_default();
        }
        self.apps = apps;
    }

    /// Removes a host that has left. What it has reported of its apps stays known, as it does in NATS: another process of the host
    /// writes only what is different then.
    pub fn remove(&mut self, host: &str) {
        if let Some((presence, _)) = self.hosts.remove(host) {
            self.apps.insert(host.to_owned(), presence.apps);
        }
    }

    /// What was noted of a host last.
    #[must_use]
    pub fn get(&self, host: &str) -> Option<&Presence> {
        self.hosts.get(host).map(|(presence, _)| presence)
    }

    /// Gives each host its full time again, as nothing could be heard of it.
    pub fn renew(&mut self, now: Instant) {
        self.hosts.values_mut().for_each(|(_, seen)| *seen = now);
    }

    /// The hosts that were heard of within [`PRESENCE_TTL`], by name.
    pub fn living(&self, now: Instant) -> Vec<&Presence> {
        let is_living = |seen: &Instant| now.saturating_duration_since(*seen) < PRESENCE_TTL;
        self.hosts.values().filter(|(_, seen)| is_living(seen)).map(|(presence, _)| presence).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::waves::tests::host;

    #[test]
    fn a_host_counts_for_as_long_as_its_key_would() {
        let (mut members, now) = (Members::default(), Instant::now());
        members.note(host("b", "1"), now);
        members.note(host("a", "1"), now + Duration::from_secs(1));
        let names = |members: &Members, after: Duration| {
            members.living(now + after).iter().map(|host| host.host.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&members, Duration::ZERO), ["a", "b"]);
        assert_eq!(names(&members, PRESENCE_TTL), ["a"]);
        members.renew(now + PRESENCE_TTL);
        assert_eq!(names(&members, PRESENCE_TTL), ["a", "b"]);
        members.remove("a");
        assert_eq!(names(&members, PRESENCE_TTL), ["b"]);
    }

    #[test]
    fn the_apps_of_a_host_are_known_apart_from_its_presence() {
        let (mut members, now) = (Members::default(), Instant::now());
        let app = host("a", "1").apps["app"].clone();
        let names = |members: &Members| {
            let living = members.living(now);
            living.iter().flat_map(|host| host.apps.keys().cloned()).collect::<Vec<_>>()
        };
        members.note_app("a", "early", Some(app.clone()));
        members.note(host("a", "1"), now);
        assert_eq!(names(&members), ["early"]);
        members.note_app("a", "late", Some(app.clone()));
        members.note(host("a", "1"), now);
        assert_eq!(names(&members), ["early", "late"]);
        members.remove("a");
        assert_eq!(names(&members), [""; 0]);
        members.note(host("a", "2"), now);
        assert_eq!(names(&members), ["early", "late"], "another process of the host has them, too");
        members.note_app("a", "early", None);
        assert_eq!(names(&members), ["late"]);
        let all = |host: &str| {
            BTreeMap::from([(host.to_owned(), HostApps::from([("new".to_owned(), app.clone())]))])
        };
        members.set_apps(all("a"));
        assert_eq!(names(&members), ["new"]);
        members.set_apps(all("b"));
        assert_eq!(names(&members), [""; 0]);
    }
}
