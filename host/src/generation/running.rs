//! Which workers are in the app's code.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// The workers that have not come back from `main`, nor stopped in it for good.
pub(super) struct Running {
    workers: Mutex<BTreeSet<usize>>,
    stopping: AtomicBool,
    changed: Notify,
}

impl Running {
    /// So many workers that are about to begin.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            workers: Mutex::new((0..workers).collect()),
            stopping: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    fn workers(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker has come back, or will never.
    pub(super) fn end(&self, worker: usize) {
        self.workers().remove(&worker);
        self.changed.notify_waiters();
    }

    /// From now on, workers that end do so because they are to; whether that was so before.
    pub(super) fn stop(&self) -> bool {
        self.stopping.swap(true, Ordering::SeqCst)
    }

    /// Whether workers are to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The workers that are left, and where they are.
    pub(super) fn left(&self) -> Vec<String> {
        let workers = self.workers();
        let left =
            workers.iter().map(|worker| format!("worker {worker} has not returned from the app's code"));
        left.collect()
    }

    /// Resolves when fewer workers are left than when this was called.
    pub(super) fn change(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// Waits for the workers, which have to be notified before: until `limit`, then as long again after `close`, which closes
    /// their ports. Those that are left: which they are.
    pub(super) async fn stop_all(&self, limit: Duration, close: &(dyn Fn() + Send + Sync)) -> Vec<String> {
        let is_over = self.ended(limit).await.is_ok();
        close();
        if is_over || self.ended(limit).await.is_ok() { Vec::new() } else { self.left() }
    }

    /// Waits until no worker is left.
    async fn ended(&self, limit: Duration) -> Result<(), Elapsed> {
        timeout(limit, async {
            loop {
                let changed = self.changed.notified();
                if self.workers().is_empty() {
                    return;
                }
                changed.await;
            }
        })
        .await
    }
}
