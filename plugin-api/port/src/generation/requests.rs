//! The requests that a generation has.

use std::time::Duration;

use crate::generation::in_flight_count::InFlightCount;
use crate::generation::shutdown::ShutdownSignal;

/// The requests that a generation has: how many there are, whether it admits more, and which streams are to end.
#[derive(Default)]
pub struct Requests {
    in_flight: InFlightCount,
    shutdown: ShutdownSignal,
}

impl Requests {
    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Admits nothing more.
    pub fn retire(&self) {
        self.in_flight.retire();
    }

    /// Admits nothing more, if nothing is in flight; whether that was so.
    pub fn retire_if_idle(&self) -> bool {
        self.in_flight.retire_if_idle()
    }

    /// Admits requests again, whose streams are not to end yet.
    pub fn resume(&self) {
        self.shutdown.reset_endless();
        self.in_flight.resume();
    }

    /// Waits until nothing is in flight of a generation that is retired, at most for `limit`; how many requests are left.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.in_flight.drain(limit).await
    }

    /// Signals streams and WebSockets to end.
    pub fn shutdown(&self) -> &ShutdownSignal {
        &self.shutdown
    }

    /// Counts one request more, unless the generation is retired: `false`.
    pub(super) fn enter(&self) -> bool {
        self.in_flight.enter()
    }

    /// Counts one request less.
    pub(super) fn leave(&self) {
        self.in_flight.leave();
    }
}
