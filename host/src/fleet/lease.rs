//! Which host runs an app that runs on one at a time, and what a host does about it.
//!
//! The host that has the key `lease.APP` has the lease: the key can only be created by one, and NATS removes it when it was not
//! written for the time to live of its bucket. A host reckons by its clock alone, from the moment before it sent what it has
//! the lease by, so that its right ends before the key can. The time to live has [thirds](THIRDS): in the first the host just
//! has the lease, in the second it renews it, and the last is for stopping the app.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{LEASE_TRIES, THIRDS};

/// The value of the key `lease.APP`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The host that has it.
    pub(crate) host: String,
    /// What tells its process from others with the same name.
    pub(crate) instance: String,
    /// Since when it has it, in milliseconds since 1970.
    pub(crate) since_ms: u64,
}

/// What a host knows of the lease of an app. Times are those of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseView {
    /// Whether it would run the app.
    pub(crate) wants: bool,
    /// Whether it can reach NATS.
    pub(crate) is_connected: bool,
    /// How long the key lasts that is not written again.
    pub(crate) ttl: Duration,
    /// When it sent what it has the lease by; `None`: it does not have it.
    pub(crate) held: Option<Duration>,
    /// From when the key may not be there.
    pub(crate) free_from: Duration,
    /// When it has last tried to write the key.
    pub(crate) tried: Option<Duration>,
}

/// What a host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseStep {
    /// Nothing until then; `None`: until it knows something else.
    Wait(Option<Duration>),
    /// It creates the key, and has the lease if there was none.
    Take,
    /// It writes the key again.
    Renew,
    /// It stops the app, hands its state over and deletes the key.
    Release,
    /// It stops the app: its right has ended.
    Stop,
}

/// Until when a host may run an app that sent at this time what it has the lease by.
pub(crate) fn right(sent: Duration, ttl: Duration) -> Duration {
    sent + ttl * (THIRDS - 1) / THIRDS
}

/// How long it waits after it has tried to write the key.
pub(crate) fn retry(ttl: Duration) -> Duration {
    ttl / (THIRDS * LEASE_TRIES)
}

/// What a host does now.
pub(crate) fn lease_step(view: &LeaseView, now: Duration) -> LeaseStep {
    let after_try = view.tried.map_or(Duration::ZERO, |tried| tried + retry(view.ttl));
    let Some(sent) = view.held else {
        let due = view.free_from.max(after_try);
        return match view.wants && view.is_connected {
            true if now >= due => LeaseStep::Take,
            true => LeaseStep::Wait(Some(due)),
            false => LeaseStep::Wait(None),
        };
    };
    let end = right(sent, view.ttl);
    if now >= end {
        return LeaseStep::Stop;
    }
    if !view.wants {
        return LeaseStep::Release;
    }
    let due = (sent + view.ttl / THIRDS).max(after_try);
    match view.is_connected {
        true if now >= due => LeaseStep::Renew,
        true => LeaseStep::Wait(Some(due.min(end))),
        false => LeaseStep::Wait(Some(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(15);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One that has had the lease since second 100.
    const HOLDER: LeaseView = LeaseView {
        wants: true,
        is_connected: true,
        ttl: TTL,
        held: Some(Duration::from_secs(100)),
        free_from: Duration::ZERO,
        tried: None,
    };

    const OTHER: LeaseView = LeaseView { held: None, free_from: Duration::from_secs(115), ..HOLDER };

    #[test]
    fn a_host_takes_the_lease_when_the_key_may_be_gone() {
        assert_eq!(lease_step(&OTHER, at(114)), LeaseStep::Wait(Some(at(115))));
        assert_eq!(lease_step(&OTHER, at(115)), LeaseStep::Take);
        // It was still there.
        let tried = LeaseView { tried: Some(at(115)), ..OTHER };
        assert_eq!(lease_step(&tried, at(115)), LeaseStep::Wait(Some(at(115) + retry(TTL))));
        assert_eq!(lease_step(&tried, at(117)), LeaseStep::Take);
        for view in [LeaseView { wants: false, ..OTHER }, LeaseView { is_connected: false, ..OTHER }] {
            assert_eq!(lease_step(&view, at(999)), LeaseStep::Wait(None));
        }
    }

    #[test]
    fn a_holder_renews_after_a_third_and_tries_until_its_right_ends() {
        assert_eq!(lease_step(&HOLDER, at(104)), LeaseStep::Wait(Some(at(105))));
        assert_eq!(lease_step(&HOLDER, at(105)), LeaseStep::Renew);
        let tried = LeaseView { tried: Some(at(105)), ..HOLDER };
        assert_eq!(lease_step(&tried, at(105)), LeaseStep::Wait(Some(at(105) + retry(TTL))));
        assert_eq!(lease_step(&tried, at(107)), LeaseStep::Renew);
        assert_eq!(lease_step(&tried, at(109)), LeaseStep::Renew);
        assert_eq!(lease_step(&tried, at(110)), LeaseStep::Stop);
        let late = LeaseView { tried: Some(Duration::from_millis(109_900)), ..HOLDER };
        let now = Duration::from_millis(109_950);
        assert_eq!(lease_step(&late, now), LeaseStep::Wait(Some(at(110))), "the end comes first");
    }

    #[test]
    fn a_holder_without_nats_stops_while_the_key_lasts() {
        let away = LeaseView { is_connected: false, ..HOLDER };
        assert_eq!(lease_step(&away, at(105)), LeaseStep::Wait(Some(at(110))));
        assert_eq!(lease_step(&away, at(110)), LeaseStep::Stop);
        assert_eq!(right(at(100), TTL) + TTL / THIRDS, at(115), "what is left is for stopping it");
        let unwanted = LeaseView { wants: false, ..away };
        assert_eq!(lease_step(&unwanted, at(101)), LeaseStep::Release);
        assert_eq!(lease_step(&unwanted, at(110)), LeaseStep::Stop, "it is too late to hand anything over");
    }
}
