//! The server's graceful shutdown, as connections and `/readyz` see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How far the server is with its shutdown. It is announced first: `/readyz` returns 503, responses close their
/// connections, and new connections are still accepted. Then it begins: connections finish the requests that they have,
/// and take no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Read for each request, where a token would take a lock.
    is_announced: AtomicBool,
    /// Whether another process accepts the connections to the same sockets from now on.
    is_replaced: AtomicBool,
    announced: CancellationToken,
    begun: CancellationToken,
    times: OnceLock<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    announced: Instant,
    begins: Instant,
}

impl Shutdown {
    /// Announces that it begins after `delay`.
    pub(crate) fn announce(&self, delay: Duration) {
        let announced = Instant::now();
        self.0.times.get_or_init(|| Times { announced, begins: announced + delay });
        self.0.is_announced.store(true, Ordering::Relaxed);
        self.0.announced.cancel();
    }

    /// Announces that it begins after `delay`, and that another process serves the same sockets: clients that connect again
    /// reach that one, so `/readyz` still returns 200.
    pub(crate) fn announce_replaced(&self, delay: Duration) {
        self.0.is_replaced.store(true, Ordering::Relaxed);
        self.announce(delay);
    }

    /// Begins it.
    pub(crate) fn begin(&self) {
        self.announce(Duration::ZERO);
        self.0.begun.cancel();
    }

    /// Waits until the other hosts of a fleet are to send their requests elsewhere: when it is announced, or, if another process
    /// joins in place of this one, when it begins.
    #[cfg(feature = "fleet")]
    pub(crate) fn leaving(&self) -> impl Future<Output = ()> + use<> {
        let Self(inner) = self.clone();
        async move {
            inner.announced.cancelled().await;
            if inner.is_replaced.load(Ordering::Relaxed) {
                inner.begun.cancelled().await;
            }
        }
    }

    /// Whether it is announced.
    pub(crate) fn is_announced(&self) -> bool {
        self.0.is_announced.load(Ordering::Relaxed)
    }

    /// Whether load balancers are to send requests to other hosts.
    pub(crate) fn turns_clients_away(&self) -> bool {
        self.is_announced() && !self.0.is_replaced.load(Ordering::Relaxed)
    }

    /// Whether it was announced before this time.
    pub(super) fn was_announced_before(&self, time: Instant) -> bool {
        self.is_announced() && self.0.times.get().is_some_and(|times| times.announced < time)
    }

    /// Waits until a connection without a request is to be closed: when it begins, or before, at a random time in the second
    /// half of the delay. Load balancers have noticed by then that the server is not ready, and clients that connect again
    /// do not come all at once.
    pub(super) fn closing_time(&self) -> impl Future<Output = ()> + use<> {
        let Self(inner) = self.clone();
        async move {
            inner.announced.cancelled().await;
            let Some(Times { announced, begins }) = inner.times.get().copied() else { return };
            let half = (begins - announced) / 2;
            let time = announced + half + half.mul_f64(fastrand::f64());
            tokio::select! {
                () = sleep_until(time) => {}
                () = inner.begun.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn connections_close_one_after_the_other_in_the_second_half_of_the_delay() {
        let shutdown = Shutdown::default();
        let times = (0..100).map(|_| shutdown.closing_time().map(|()| Instant::now()));
        let times = futures_util::future::join_all(times);
        let begun = Instant::now();
        let delay = Duration::from_millis(400);
        shutdown.announce(delay);
        assert!(shutdown.is_announced());
        let times: Vec<_> = times.await.into_iter().map(|time| time - begun).collect();
        assert!(times.iter().all(|time| *time >= delay / 2), "{times:?}");
        let late = times.iter().filter(|time| **time > delay / 4 * 3).count();
        assert!((20..100).contains(&late), "{late} of them are in the last quarter");
    }

    #[test]
    fn a_server_that_is_replaced_turns_nobody_away() {
        let shutdown = Shutdown::default();
        shutdown.announce_replaced(Duration::from_secs(1));
        assert!(shutdown.is_announced() && !shutdown.turns_clients_away());
        let shutdown = Shutdown::default();
        shutdown.announce(Duration::from_secs(1));
        assert!(shutdown.turns_clients_away());
    }

    #[cfg(feature = "fleet")]
    #[test]
    fn a_host_that_is_replaced_leaves_its_fleet_later() {
        let shutdown = Shutdown::default();
        assert!(shutdown.leaving().now_or_never().is_none());
        shutdown.announce_replaced(Duration::from_secs(1));
        assert!(shutdown.leaving().now_or_never().is_none());
        shutdown.begin();
        assert!(shutdown.leaving().now_or_never().is_some());
        let shutdown = Shutdown::default();
        shutdown.announce(Duration::from_secs(1));
        assert!(shutdown.leaving().now_or_never().is_some());
    }

    #[tokio::test]
    async fn without_a_delay_they_close_at_once() {
        let shutdown = Shutdown::default();
        assert!(shutdown.closing_time().now_or_never().is_none());
        shutdown.begin();
        assert!(shutdown.is_announced());
        shutdown.closing_time().await;
    }
}
