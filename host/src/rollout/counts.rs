//! What a version has done.

use crate::observe::metrics::Snapshot;

/// What a version has done in some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Its responses.
    pub(crate) requests: u64,
    /// Of those, the ones with status 500 or above.
    pub(crate) failures: u64,
    pub(crate) panics: u64,
    /// Workers that exited unexpectedly.
    pub(crate) worker_ends: u64,
    /// How long its workers took for its responses.
    pub(crate) times: Snapshot,
}

impl Counts {
    /// What has come since an earlier reading.
    #[must_use]
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
            panics: self.panics.saturating_sub(before.panics),
            worker_ends: self.worker_ends.saturating_sub(before.worker_ends),
            times: self.times.since(&before.times),
        }
    }

    /// Adds what was done in another time.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.panics += other.panics;
        self.worker_ends += other.worker_ends;
        self.times.add(&other.times);
    }

    /// The part of the requests that failed, from 0 to 1.
    pub(crate) fn failure_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failures as f64 / self.requests as f64 }
    }

    /// The time in seconds that 95 of 100 requests do not exceed; `None` without requests.
    pub(crate) fn p95(&self) -> Option<f64> {
        self.times.quantile(0.95)
    }

    /// How many requests took longer than this bound of the histogram, in seconds.
    pub(super) fn slower_than(&self, bound: f64) -> u64 {
        self.times.buckets().filter(|(upper, _)| *upper > bound).map(|(_, count)| count).sum()
    }
}
