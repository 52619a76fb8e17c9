//! A generation in a separate process, as its host has it.

mod error;
mod monitor;
mod start;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atoll_port::shared_memory::HeapUse;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(crate) use self::error::ProcessError;
pub(crate) use self::monitor::ProcessEvents;
pub(crate) use self::start::ProcessPlan;
use crate::generation::runner::{HeapBytes, ProcessInfo, Runner};
use crate::generation::running::Running;
use crate::process::control::Order;
use crate::sandbox::InForce;

/// How long a process may take for its exit handlers before it is killed, and how long after it has closed its socket.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// A process that runs the workers of a generation. Dropping this kills it.
pub(crate) struct AppProcess {
    id: Option<u32>,
    running: Arc<Running>,
    orders: UnboundedSender<Order>,
    /// Has the process killed.
    kill: CancellationToken,
    ended: watch::Receiver<bool>,
    heap_use: HeapUse,
    /// What of its policy is in force, if it has one.
    in_force: Arc<OnceLock<InForce>>,
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
        self.kill.cancel();
        self.has_ended().await;
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
        self.kill.cancel();
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

    fn heap(&self) -> HeapBytes {
        HeapBytes { live: self.heap_use.live(), peak: self.heap_use.peak() }
    }
}
