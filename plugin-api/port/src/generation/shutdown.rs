//! When streams and WebSockets are to end that their app has not ended.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Signals the streams of a generation to end: first the endless ones, then all.
#[derive(Debug, Default)]
pub struct ShutdownSignal {
    all: CancellationToken,
    endless: Mutex<Endless>,
}

/// The signal for server-sent events and WebSockets.
#[derive(Clone, Debug, Default)]
struct Endless {
    /// They are to end within a time.
    ending: CancellationToken,
    within: Arc<OnceLock<Duration>>,
    /// The time is over.
    over: CancellationToken,
}

impl ShutdownSignal {
    /// Ends server-sent events and WebSockets: they have no end to wait for, and their clients come back.
    pub fn cancel_endless(&self) {
        let endless = self.endless();
        endless.over.cancel();
        endless.ending.cancel();
    }

    /// Ends server-sent events and WebSockets, each at a random time within this one, so that their clients do not all come
    /// back at once.
    pub fn cancel_endless_within(&self, time: Duration) {
        let endless = self.endless();
        endless.within.get_or_init(|| time);
        endless.ending.cancel();
    }

    /// Ends everything.
    pub fn cancel_all(&self) {
        self.cancel_endless();
        self.all.cancel();
    }

    /// Those that begin from now on are not to end yet.
    pub fn reset_endless(&self) {
        *self.endless() = Endless::default();
    }

    /// Waits until everything is to end.
    pub fn cancelled(&self) -> WaitForCancellationFutureOwned {
        self.all.clone().cancelled_owned()
    }

    /// Waits until a stream of server-sent events, or a WebSocket, is to end.
    pub fn endless_cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let Endless { ending, within, over } = self.endless().clone();
        async move {
            ending.cancelled().await;
            let time = within.get().copied().unwrap_or_default().mul_f64(fastrand::f64());
            tokio::select! {
                () = sleep(time) => {}
                () = over.cancelled() => {}
            }
        }
    }

    fn endless(&self) -> MutexGuard<'_, Endless> {
        self.endless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn endless_streams_end_one_after_the_other_within_the_time() {
        let signal = ShutdownSignal::default();
        let begun = Instant::now();
        let ends = join_all((0..100).map(|_| {
            let end = signal.endless_cancelled();
            async move {
                end.await;
                begun.elapsed()
            }
        }));
        let time = Duration::from_millis(300);
        signal.cancel_endless_within(time);
        let times = ends.await;
        let late = times.iter().filter(|end| **end > time / 2).count();
        assert!((20..100).contains(&late), "{late} of them are in the second half");
    }

    #[tokio::test]
    async fn the_rest_ends_when_the_time_is_cut_short() {
        let signal = ShutdownSignal::default();
        let begun = Instant::now();
        signal.cancel_endless_within(Duration::from_secs(3600));
        let end = signal.endless_cancelled();
        signal.cancel_endless();
        end.await;
        assert!(begun.elapsed() < Duration::from_secs(60));
        signal.reset_endless();
        let later = tokio::time::timeout(Duration::from_millis(10), signal.endless_cancelled()).await;
        assert!(later.is_err(), "those that begin later do not end");
    }
}
