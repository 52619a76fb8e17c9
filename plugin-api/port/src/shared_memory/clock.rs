//! The system's monotonic clock, which all processes share.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A moment, as nanoseconds of the clock and as this process has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) nanos: u64,
    instant: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let nanos = (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64);
        Self { nanos, instant: Instant::now() }
    }

    /// The nanoseconds of an instant.
    pub(super) fn nanos_of(&self, instant: Instant) -> u64 {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        match instant.checked_duration_since(self.instant) {
            Some(ahead) => self.nanos.saturating_add(nanos(ahead)),
            None => self.nanos.saturating_sub(nanos(self.instant - instant)),
        }
    }

    /// The instant of nanoseconds that another process has sent; not later than this.
    pub(super) fn instant_of(&self, nanos: u64) -> Instant {
        let ago = Duration::from_nanos(self.nanos.saturating_sub(nanos));
        self.instant.checked_sub(ago).unwrap_or(self.instant)
    }
}
