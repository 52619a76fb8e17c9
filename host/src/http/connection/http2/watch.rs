//! Whether a connection is still of use.

use std::time::Duration;

use tokio::time::Instant;

use super::held::Held;
use super::streams::Streams;
use crate::http::connection::limits::{HTTP2_CLOSE_TIMEOUT, LAST_REQUEST_TIMEOUT};
use crate::http::connection::shared::Shared;
use crate::http::connection::shutdown::Shutdown;
use crate::http::server_limits::ServerLimits;

/// How often a connection is looked at, at least.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// So many requests a client may cancel in each second without being counted.
const CANCELLED_EACH_TICK: u32 = 100;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    /// It takes no more requests.
    Close,
    Abort,
}

/// Whether a connection is still of use.
pub(super) struct Watch<'a> {
    streams: &'a Streams,
    held: &'a Held,
    limits: &'a ServerLimits,
    shutdown: &'a Shutdown,
    /// It is to be closed, when its first request has come.
    pub(super) is_last: bool,
    is_closing: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new<S>(streams: &'a Streams, held: &'a Held, shared: &'a Shared<S>) -> Self {
        Self {
            streams,
            held,
            limits: &shared.server.limits,
            shutdown: &shared.server.shutdown,
            is_last: false,
            is_closing: false,
        }
    }

    pub(super) fn look(&mut self, now: Instant) -> Verdict {
        self.streams.cancelled.set(self.streams.cancelled.get().saturating_sub(CANCELLED_EACH_TICK));
        if self.held.stalled(now) >= self.limits.write_timeout {
            return Verdict::Abort;
        }
        let (used, has_served) = (self.streams.used.get(), self.streams.has_served.get());
        // As each answer of HTTP/1 closes its connection once the shutdown is announced.
        if !self.is_closing && has_served && (self.is_last || self.shutdown.was_announced_before(used)) {
            return self.close(now);
        }
        if self.streams.open.get() > 0 {
            return Verdict::Go;
        }
        match now.saturating_duration_since(used) < self.idle_limit() {
            true => Verdict::Go,
            false if self.is_closing => Verdict::Abort,
            false => self.close(now),
        }
    }

    /// How long it may stay without a request.
    fn idle_limit(&self) -> Duration {
        match (self.is_closing, self.streams.has_served.get()) {
            (true, _) => HTTP2_CLOSE_TIMEOUT,
            (false, false) if self.is_last => LAST_REQUEST_TIMEOUT,
            (false, true) => self.limits.keep_alive,
            (false, false) => self.limits.header_timeout,
        }
    }

    /// How long it may stay as it is.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let stalled = self.limits.write_timeout.saturating_sub(self.held.stalled(now));
        let idle = now.saturating_duration_since(self.streams.used.get());
        let idle = if self.streams.open.get() > 0 { Duration::ZERO } else { idle };
        let left = stalled.min(self.idle_limit().saturating_sub(idle));
        // The first request of one that is to be closed may come at any time.
        let often = if self.is_last && !self.is_closing { Duration::from_millis(20) } else { TICK };
        left.clamp(Duration::from_millis(1), often)
    }

    fn close(&mut self, now: Instant) -> Verdict {
        self.is_closing = true;
        self.streams.used.set(now);
        Verdict::Close
    }
}
