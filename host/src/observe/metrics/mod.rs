//! What is counted of each app.
//!
//! Recording takes no lock and no memory, as it is done for each request. What can be asked of the app when someone wants
//! to know, such as the requests in flight, is not counted here.

mod fleet_requests;
mod histogram;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use self::fleet_requests::{FleetCounts, FleetRequests};
#[cfg(feature = "fleet")]
pub(crate) use self::fleet_requests::{SendFailure, SentRequest};
pub(crate) use self::histogram::{Histogram, Snapshot};

use crate::observe::timing::RequestTiming;

/// A count that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of one app, over all its generations.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Requests by the first digit of their answer's status, from 1 to 5.
    responses: [Counter; 5],
    /// From when a request was read to when the head of its answer was there.
    pub(crate) total: Histogram,
    /// From when it was handed to a worker's inbox to when the worker took it.
    pub(crate) queue: Histogram,
    /// From then to its answer.
    pub(crate) handler: Histogram,
    /// Bytes of requests' bodies, and of answers' bodies, with the messages of WebSockets.
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
    /// Cold starts: generations started while none was serving.
    pub(crate) cold_starts: Counter,
    /// Reloads by their outcome.
    pub(crate) reloaded: Counter,
    pub(crate) refused: Counter,
    /// From when a change was noticed to when it served.
    pub(crate) reload: Histogram,
    /// Workers that exited unexpectedly.
    pub(crate) worker_ends: Counter,
    /// The errors before the current version was the current one.
    errors_before: AtomicU64,
    websockets: AtomicI64,
}

impl Metrics {
    /// Notes an answer.
    pub(crate) fn answered(&self, status: u16, took: Duration) {
        if let Some(class) = self.responses.get(usize::from(status / 100).wrapping_sub(1)) {
            class.add(1);
        }
        self.total.observe(took);
    }

    /// Notes what a worker took for a request.
    pub(crate) fn observe_timing(&self, times: RequestTiming) {
        self.queue.observe(times.queue);
        self.handler.observe(times.handler);
    }

    /// How many answers there were, by the first digit of their status, from 1 to 5.
    pub(crate) fn responses(&self) -> [u64; 5] {
        self.responses.each_ref().map(Counter::get)
    }

    /// Takes note that another version is the current one from now on.
    pub(crate) fn begin_version(&self) {
        self.errors_before.store(self.errors(), Ordering::Relaxed);
    }

    /// The responses with status 500 or above, and the workers that exited unexpectedly, since the version is the current one.
    #[cfg(feature = "fleet")]
    pub(crate) fn errors_of_version(&self) -> u64 {
        self.errors().saturating_sub(self.errors_before.load(Ordering::Relaxed))
    }

    fn errors(&self) -> u64 {
        self.responses[4].get() + self.worker_ends.get()
    }

    /// Whether there has been anything to count.
    pub(crate) fn is_used(&self) -> bool {
        self.cold_starts.get() > 0
            || self.refused.get() > 0
            || self.responses().iter().any(|count| *count > 0)
    }

    /// Notes that a WebSocket was opened.
    pub(crate) fn websocket_opened(&self) {
        self.websockets.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a WebSocket was closed.
    pub(crate) fn websocket_closed(&self) {
        self.websockets.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many WebSockets are open.
    pub(crate) fn websockets(&self) -> i64 {
        self.websockets.load(Ordering::Relaxed)
    }
}
