//! How much a worker does besides its requests.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The number of pieces of work, as the worker reports it.
#[derive(Debug, Default)]
pub(crate) struct BackgroundCount {
    count: AtomicUsize,
    ended: Notify,
}

impl BackgroundCount {
    pub(crate) fn set(&self, count: usize) {
        self.count.store(count, Ordering::SeqCst);
        if count == 0 {
            self.ended.notify_waiters();
        }
    }

    pub(crate) fn get(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until there is none.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.get() == 0 {
                return;
            }
            ended.await;
        }
    }
}
