//! Whether an app that runs on one host of a fleet at a time may run on this one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::sleep_until;

/// The time since the machine was started, also that in which it was suspended: by a clock that nobody sets.
pub(crate) fn clock() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The lease of an app, as far as this host has it.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Until when the app may take requests here, in milliseconds of the [`clock`]; 0: it may not.
    until: AtomicU64,
    /// The host that has it, if that is known.
    holder: Mutex<Option<Arc<str>>>,
    /// By when all generations of the app have to have stopped.
    stop_by: watch::Sender<Option<Instant>>,
}

impl Default for Lease {
    fn default() -> Self {
        Self { until: AtomicU64::new(0), holder: Mutex::default(), stop_by: watch::Sender::new(None) }
    }
}

impl Lease {
    /// Whether this host has it now: by the clock, and not by whether anyone has noticed that it has run out.
    pub(crate) fn is_held(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            0 => false,
            until => clock() < Duration::from_millis(until),
        }
    }

    /// The host that has it, if that is known.
    pub(crate) fn holder(&self) -> Option<Arc<str>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All generations of the app have to stop within this time; `None`: within that of its settings.
    pub(crate) fn stop_within(&self, limit: Option<Duration>) {
        self.stop_by.send_replace(limit.map(|limit| Instant::now() + limit));
    }

    /// Whether the app has to stop within less time than its settings give it.
    pub(crate) fn stops_soon(&self) -> bool {
        self.stop_by.borrow().is_some()
    }

    /// How long a step of stopping the app may take: `limit`, or, when the app has to stop soon, at most this part of the time
    /// that is left.
    pub(crate) fn limited(&self, limit: Duration, part: u32) -> Duration {
        let stop_by = *self.stop_by.borrow();
        stop_by.map_or(limit, |end| limit.min(end.saturating_duration_since(Instant::now()) / part))
    }

    /// Waits until the app has to stop soon, and then for this part of the time that is left.
    ///
    /// Cancel safe.
    pub(crate) async fn runs_out(&self, part: u32) {
        let end = self.ends().await;
        let now = Instant::now();
        sleep_until((now + end.saturating_duration_since(now) / part).into()).await;
    }

    /// Waits until the app has to stop soon: by when.
    ///
    /// Cancel safe.
    pub(crate) async fn ends(&self) -> Instant {
        let mut stop_by = self.stop_by.subscribe();
        // The other end lives as long as this.
        match stop_by.wait_for(Option::is_some).await.map(|end| *end) {
            Ok(Some(end)) => end,
            _ => std::future::pending().await,
        }
    }
}

/// What the host's part in a fleet does with it.
#[cfg(feature = "fleet")]
impl Lease {
    /// This host has it until then, by the [`clock`].
    pub(crate) fn hold(&self, until: Duration) {
        // Rounded down: it ends too early rather than too late.
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Release);
    }

    /// This host does not have it any more: the app takes no further request.
    pub(crate) fn give_up(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Takes note of the host that has it.
    pub(crate) fn set_holder(&self, holder: Option<&str>) {
        let mut known = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_deref() != holder {
            *known = holder.map(Into::into);
        }
    }
}

#[cfg(all(test, feature = "fleet"))]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_the_clock() {
        let lease = Lease::default();
        assert!(!lease.is_held());
        lease.hold(clock() + Duration::from_secs(60));
        assert!(lease.is_held());
        lease.hold(clock());
        assert!(!lease.is_held(), "nobody has noticed it");
        lease.hold(clock() + Duration::from_secs(60));
        lease.give_up();
        assert!(!lease.is_held());
    }

    #[tokio::test]
    async fn what_stops_gets_parts_of_the_time_that_is_left() {
        let (lease, minute) = (Lease::default(), Duration::from_secs(60));
        assert_eq!(lease.limited(minute, 4), minute);
        lease.stop_within(Some(Duration::from_millis(40)));
        assert!(lease.limited(minute, 4) <= Duration::from_millis(10));
        let begun = Instant::now();
        lease.runs_out(4).await;
        assert!(begun.elapsed() < Duration::from_secs(30));
        lease.stop_within(None);
        assert_eq!(lease.limited(minute, 4), minute);
    }
}
