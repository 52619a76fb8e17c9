//! What is counted.

use serde::{Deserialize, Serialize};

/// What an app has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Amounts {
    /// How long generations were ready, in nanoseconds.
    pub(crate) uptime_ns: u64,
    /// The CPU time of threads or processes, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// The bytes allocated in heaps, times the seconds that they were.
    pub(crate) heap_byte_seconds: u64,
    /// Requests from outside that were answered.
    pub(crate) requests: u64,
    /// Bytes in request bodies and in WebSocket messages of clients.
    pub(crate) received_bytes: u64,
    /// Bytes in response bodies and in WebSocket messages to clients.
    pub(crate) sent_bytes: u64,
    /// Generations started while none was serving.
    pub(crate) cold_starts: u64,
}

impl Amounts {
    /// Adds what was used besides.
    pub(crate) fn add(&mut self, other: &Self) {
        *self = self.with(other, u64::saturating_add);
    }

    /// What was used since there was `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        self.with(before, u64::saturating_sub)
    }

    /// Whether nothing was used.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    fn with(&self, other: &Self, each: fn(u64, u64) -> u64) -> Self {
        Self {
            uptime_ns: each(self.uptime_ns, other.uptime_ns),
            cpu_ns: each(self.cpu_ns, other.cpu_ns),
            heap_byte_seconds: each(self.heap_byte_seconds, other.heap_byte_seconds),
            requests: each(self.requests, other.requests),
            received_bytes: each(self.received_bytes, other.received_bytes),
            sent_bytes: each(self.sent_bytes, other.sent_bytes),
            cold_starts: each(self.cold_starts, other.cold_starts),
        }
    }
}
