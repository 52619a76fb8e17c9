//! How many requests a generation has, and whether it admits more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// The count of requests in flight moves by this; bit 0 says that the generation is retired.
const ONE: usize = 2;
const RETIRED: usize = 1;

/// The requests in flight, and whether the generation is retired.
#[derive(Default)]
pub(crate) struct InFlightCount {
    count: AtomicUsize,
    drained: Notify,
}

impl InFlightCount {
    /// Counts one more request, unless the generation is retired: `false`.
    pub(crate) fn enter(&self) -> bool {
        if self.count.fetch_add(ONE, Ordering::SeqCst) & RETIRED != 0 {
            self.leave();
            return false;
        }
        true
    }

    /// Counts one request less.
    pub(crate) fn leave(&self) {
        if self.count.fetch_sub(ONE, Ordering::SeqCst) == ONE | RETIRED {
            self.drained.notify_waiters();
        }
    }

    /// How many requests are in flight.
    pub(crate) fn get(&self) -> usize {
        self.count.load(Ordering::SeqCst) / ONE
    }

    /// Admits nothing more.
    pub(crate) fn retire(&self) {
        self.count.fetch_or(RETIRED, Ordering::SeqCst);
    }

    /// Admits nothing more, if nothing is in flight; whether that was so.
    pub(crate) fn retire_if_idle(&self) -> bool {
        self.count.compare_exchange(0, RETIRED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Admits requests again.
    pub(crate) fn resume(&self) {
        self.count.fetch_and(!RETIRED, Ordering::SeqCst);
    }

    /// Waits until nothing is in flight, at most for `limit`; how many requests are left.
    pub(crate) async fn drain(&self, limit: Duration) -> usize {
        let empty = async {
            loop {
                let drained = self.drained.notified();
                if self.get() == 0 {
                    return;
                }
                drained.await;
            }
        };
        match timeout(limit, empty).await {
            Ok(()) => 0,
            Err(_elapsed) => self.get(),
        }
    }
}
