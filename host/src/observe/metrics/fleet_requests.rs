//! What is counted of the requests between the hosts of a fleet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "fleet")]
use std::time::Instant;

use super::{Counter, Histogram};

/// The counts of all apps that have had such requests, by their names.
#[derive(Debug, Default)]
pub(crate) struct FleetRequests(Mutex<BTreeMap<Arc<str>, Arc<FleetCounts>>>);

/// The counts of the requests to one app.
#[derive(Debug, Default)]
pub(crate) struct FleetCounts {
    /// Requests to other hosts.
    pub(crate) sent: Counter,
    /// How often one of them went to a further host, because the one before did not take it.
    pub(crate) retried: Counter,
    failed: [Counter; SendFailure::ALL.len()],
    /// The pending ones that a host was asked to take, and those that a host has taken.
    pending: [AtomicI64; 2],
    /// From when a request was sent to when the head of its answer came.
    pub(crate) duration: Histogram,
    /// Requests of other hosts.
    pub(crate) received: Counter,
}

/// Why a request to another host has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendFailure {
    /// No host takes it.
    NoHost,
    /// The host that had it is gone.
    HostGone,
    /// The host that has it answers with a problem.
    Refused,
    /// Its messages are too large, or were lost.
    Broken,
    /// This host has lost its connection.
    Disconnected,
}

impl SendFailure {
    const ALL: [(Self, &'static str); 5] = [
        (Self::NoHost, "no_host"),
        (Self::HostGone, "host_gone"),
        (Self::Refused, "refused"),
        (Self::Broken, "broken"),
        (Self::Disconnected, "disconnected"),
    ];
}

impl FleetRequests {
    /// All counts, by the names of the apps.
    pub(crate) fn all(&self) -> BTreeMap<Arc<str>, Arc<FleetCounts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl FleetCounts {
    /// The failures by their reasons.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SendFailure::ALL.iter().zip(&self.failed).map(|((_, reason), count)| (*reason, count.get()))
    }

    /// The pending requests by their state.
    pub(crate) fn pending(&self) -> [(&'static str, u64); 2] {
        let [asked, taken] =
            self.pending.each_ref().map(|count| count.load(Ordering::Relaxed).max(0).unsigned_abs());
        [("asked", asked), ("taken", taken)]
    }
}

#[cfg(feature = "fleet")]
impl FleetRequests {
    /// The counts of an app.
    pub(crate) fn of(&self, app: &str) -> Arc<FleetCounts> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = all.get(app) {
            return counts.clone();
        }
        all.entry(app.into()).or_default().clone()
    }
}

/// A request to another host, which is counted as pending as long as this is there.
#[cfg(feature = "fleet")]
#[derive(Debug)]
pub(crate) struct SentRequest {
    counts: Arc<FleetCounts>,
    /// `None`: its answer has begun.
    sent: Option<Instant>,
    is_taken: bool,
}

#[cfg(feature = "fleet")]
impl SentRequest {
    /// One that is sent now.
    pub(crate) fn begin(counts: Arc<FleetCounts>, now: Instant) -> Self {
        counts.sent.add(1);
        let this = Self { counts, sent: Some(now), is_taken: false };
        this.change(1);
        this
    }

    /// It goes to a further host.
    pub(crate) fn retried(&self) {
        self.counts.retried.add(1);
    }

    /// A host has it.
    pub(crate) fn taken(&mut self) {
        if !self.is_taken {
            self.change(-1);
            self.is_taken = true;
            self.change(1);
        }
    }

    /// The head of its answer has come.
    pub(crate) fn answered(&mut self, now: Instant) {
        if let Some(sent) = self.sent.take() {
            self.counts.duration.observe(now.saturating_duration_since(sent));
        }
    }

    /// It has failed.
    pub(crate) fn failed(&self, failure: SendFailure) {
        self.counts.failed[failure as usize].add(1);
    }

    fn change(&self, by: i64) {
        self.counts.pending[usize::from(self.is_taken)].fetch_add(by, Ordering::Relaxed);
    }
}

#[cfg(feature = "fleet")]
impl Drop for SentRequest {
    fn drop(&mut self) {
        self.change(-1);
    }
}

#[cfg(all(test, feature = "fleet"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_is_pending_until_it_ends() {
        let (requests, now) = (FleetRequests::default(), Instant::now());
        let counts = requests.of("shop");
        let mut one = SentRequest::begin(requests.of("shop"), now);
        let other = SentRequest::begin(requests.of("shop"), now);
        one.taken();
        one.taken();
        assert_eq!(counts.pending(), [("asked", 1), ("taken", 1)]);
        for after in [3, 9] {
            one.answered(now + Duration::from_secs(after));
        }
        assert_eq!((counts.duration.snapshot().count(), counts.duration.snapshot().sum()), (1, 3.0));
        other.failed(SendFailure::HostGone);
        drop((one, other));
        assert_eq!(counts.pending(), [("asked", 0), ("taken", 0)]);
        let failed: Vec<_> = counts.failed().filter(|(_, count)| *count > 0).collect();
        assert_eq!((counts.sent.get(), failed), (2, vec![("host_gone", 1)]));
        assert!(SendFailure::ALL.iter().enumerate().all(|(place, (failure, _))| *failure as usize == place));
        assert_eq!(requests.all().len(), 1);
    }
}
