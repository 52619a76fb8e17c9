//! The handle of a process that runs the workers of a generation.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atoll_port::shared_memory::{HeapUse, RunningRequests};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::clock::ProcessClock;
use crate::generation::runner::{HeapBytes, ProcessInfo, Runner};
use crate::generation::running::Running;
use crate::process::control::Order;
use crate::sandbox::InForce;

/// How long a process may take for its exit handlers before it is killed, and how long after it has closed its socket.
pub(super) const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// A process that runs the workers of a generation. Dropping this kills it.
pub(crate) struct AppProcess {
    pub(super) id: Option<u32>,
    pub(super) running: Arc<Running>,
    pub(super) orders: UnboundedSender<Order>,
    pub(super) kill: Arc<Kill>,
    pub(super) ended: watch::Receiver<bool>,
    pub(super) heap_use: HeapUse,
    pub(super) clock: Arc<ProcessClock>,
    /// What of its policy is in force, if it has one.
    pub(super) in_force: Arc<OnceLock<InForce>>,
    pub(super) requests: Arc<RunningRequests>,
}

/// Has a process killed.
#[derive(Default)]
pub(super) struct Kill {
    pub(super) token: CancellationToken,
    /// Why, where it has done something wrong.
    pub(super) why: OnceLock<String>,
}

impl AppProcess {
    /// Ends the process when the app's own threads have ended, or after `limit`, and waits until it has. It is killed if it
    /// does not end by itself.
    pub(crate) async fn end(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        // Without a receiver, it has ended.
        let _ = self.orders.send(Order::Exit { limit_ms });
        if timeout(limit.saturating_add(EXIT_LIMIT), self.has_ended()).await.is_err() {
            self.kill().await;
        }
    }

    /// Kills the process, and waits until it has ended.
    pub(crate) async fn kill(&self) {
        self.kill.token.cancel();
        self.has_ended().await;
    }

    /// Kills the process for something that it has done wrong, as if it had ended by itself.
    pub(crate) fn kill_for(&self, why: String) {
        // The first reason is the one.
        let _ = self.kill.why.set(why);
        self.kill.token.cancel();
    }

    async fn has_ended(&self) {
        // Without a sender, the runtime of the monitor is gone, which has killed the process.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl fmt::Debug for AppProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppProcess").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for AppProcess {
    fn drop(&mut self) {
        self.kill.token.cancel();
    }
}

impl Runner for AppProcess {
    fn note_stop(&self) {
        self.running.stop();
    }

    fn stop<'a>(
        &'a self,
        limit: Duration,
        close: &'a (dyn Fn() + Send + Sync),
    ) -> BoxFuture<'a, Vec<String>> {
        Box::pin(self.running.stop_all(limit, close))
    }

    fn set_log_level(&self, level: u8) {
        // Without a receiver, it has ended.
        let _ = self.orders.send(Order::LogLevel(level));
    }

    fn process(&self) -> Option<ProcessInfo> {
        Some(ProcessInfo { id: self.id?, sandbox: self.in_force.get().cloned() })
    }

    fn running_request(&self, worker: usize) -> Option<u64> {
        self.requests.request_of(worker)
    }

    fn heap(&self) -> HeapBytes {
        HeapBytes { live: self.heap_use.live(), peak: self.heap_use.peak() }
    }

    fn cpu_time(&self) -> Duration {
        self.clock.read()
    }
}
