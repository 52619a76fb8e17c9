//! The workers of a generation, as its host reaches them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use atoll_protocol::IndexedText;
use atoll_protocol::abi::Buffer;
use atoll_protocol::{Start, Started, method};
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use super::error::{SaveError, StartError};
use crate::answer;
use crate::call_context::CallContext;
use crate::port::Port;
use crate::reply::{Answer, CallError};

/// The host's ends of the ports of a generation's workers.
pub struct Workers {
    ports: Box<[Arc<Port>]>,
    /// Which one gets the next request, counted on.
    next: AtomicUsize,
    saves: AtomicBool,
}

impl Workers {
    /// The workers at the other ends of these ports.
    pub fn new(ports: impl IntoIterator<Item = Arc<Port>>) -> Self {
        Self { ports: ports.into_iter().collect(), next: AtomicUsize::new(0), saves: AtomicBool::new(false) }
    }

    /// The ports, in the order of their workers.
    pub fn ports(&self) -> &[Arc<Port>] {
        &self.ports
    }

    /// How many requests were sent to them.
    pub fn calls(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// How many requests wait in their inboxes.
    pub fn waiting(&self) -> usize {
        self.ports.iter().map(|port| port.waiting()).sum()
    }

    /// Sends `start` to each worker, with the state that the worker of the same number before it has left, and waits
    /// until all are ready.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self, start: Start, states: Vec<Value>, limit: Duration) -> Result<(), StartError> {
        let mut states = states.into_iter();
        let workers = self.ports.iter().enumerate().map(|(worker, port)| {
            let state = states.next().filter(|state| !state.is_null());
            let start = Start { worker, state, ..start.clone() };
            async move {
                let answer = port
                    .call(method::START, start, None)
                    .map_err(|reason| StartError::Call { worker, reason })?;
                answer::result::<Started>(answer.await.map(|(message, _)| message))
                    .map_err(|reason| StartError::Refused { worker, reason })
            }
        });
        let started =
            timeout(limit, try_join_all(workers)).await.map_err(|_elapsed| StartError::TimedOut(limit))??;
        self.saves.store(started.iter().any(|started| started.saves), Ordering::Relaxed);
        Ok(())
    }

    /// Whether they have a state for the next generation.
    pub fn saves(&self) -> bool {
        self.saves.load(Ordering::Relaxed)
    }

    /// The states of the workers, in their order.
    ///
    /// # Errors
    /// One of them did not answer with a state within `limit`.
    pub async fn save(&self, limit: Duration) -> Result<Vec<Value>, SaveError> {
        let workers = self.ports.iter().map(|port| async {
            let answer = port.call(method::STATE_SAVE, Value::Null, None)?;
            Ok(answer::result::<Value>(answer.await.map(|(message, _)| message))?)
        });
        timeout(limit, try_join_all(workers)).await.map_err(|_elapsed| SaveError::TimedOut(limit))?
    }

    /// Sends a request to a worker, the next one in turn whose inbox has room: the text that `text` writes for the
    /// given id. What the app calls for it carries its `context` on.
    ///
    /// # Errors
    /// No worker took it: why the last one did not.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn call(
        &self,
        text: impl Fn(u64) -> IndexedText,
        transfer: Option<Buffer>,
        context: Option<&CallContext>,
    ) -> Result<Answer, CallError> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut transfer = transfer;
        let mut refusal = CallError::Closed;
        for offset in 0..self.ports.len() {
            let port = &self.ports[(first + offset) % self.ports.len()];
            // A worker may end between the two.
            match port.reserve().and_then(|place| place.on_behalf(context).send(&text, &mut transfer)) {
                Ok(answer) => return Ok(answer),
                // That a worker is full is the better reason than that one has ended.
                Err(full @ CallError::Full(_)) => refusal = full,
                Err(CallError::Closed) => {}
            }
        }
        Err(refusal)
    }

    /// How many pieces of work that belong to no request they have.
    pub fn background(&self) -> usize {
        self.ports.iter().map(|port| port.background.get()).sum()
    }

    /// Waits until they have no work that belongs to no request, at most for `limit`; how many pieces are left.
    pub async fn drain_background(&self, limit: Duration) -> usize {
        let ended = join_all(self.ports.iter().map(|port| port.background.ended()));
        match timeout(limit, ended).await {
            Ok(_) => 0,
            Err(_elapsed) => self.background(),
        }
    }

    /// Sends each worker a notification.
    pub fn notify(&self, method: &str, params: impl Serialize) {
        self.ports.iter().for_each(|port| port.notify(method, &params, Vec::new()));
    }

    /// Closes all ports.
    pub fn close(&self) {
        self.ports.iter().for_each(|port| port.close());
    }
}
