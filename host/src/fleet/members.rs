//! The hosts of a fleet.

use std::collections::BTreeMap;
use std::time::Instant;

use super::limits::PRESENCE_TTL;
use super::presence::Presence;

/// The hosts of a fleet, with when each was last heard of. NATS does not report that a key has expired, so that each reader
/// measures the time.
#[derive(Clone, Debug, Default)]
pub struct Members(BTreeMap<String, (Presence, Instant)>);

impl Members {
    /// Takes note of a presence that has come now.
    pub fn note(&mut self, presence: Presence, now: Instant) {
        self.0.insert(presence.host.clone(), (presence, now));
    }

    /// Removes a host that has left.
    pub fn remove(&mut self, host: &str) {
        self.0.remove(host);
    }

    /// Gives each host its full time again, as nothing could be heard of it.
    pub fn renew(&mut self, now: Instant) {
        self.0.values_mut().for_each(|(_, seen)| *seen = now);
    }

    /// The hosts that were heard of within [`PRESENCE_TTL`], by name.
    pub fn living(&self, now: Instant) -> Vec<&Presence> {
        let is_living = |seen: &Instant| now.saturating_duration_since(*seen) < PRESENCE_TTL;
        self.0.values().filter(|(_, seen)| is_living(seen)).map(|(presence, _)| presence).collect()
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
}
