//! A worker's end of a port: what its functions in the host's table do.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use atoll_protocol::abi::{Message, Received};

/// How a worker receives and sends, whatever carries its messages.
pub trait WorkerPort: Send + Sync {
    /// Brings the worker the next item, and waits for it at most for `timeout`.
    fn receive(&self, timeout: Option<Duration>, into: &mut Message) -> Received;

    /// Takes a message of the worker's. `false`: the port is closed.
    fn send(&self, message: Message) -> bool;

    /// Ends the worker's `receive`, once for any number of calls before it looks again.
    fn wake(&self);

    /// The descriptor that wakes an app with its own event loop; negative when the system has none to give.
    fn doorbell(&self) -> RawFd;

    /// Notes that the worker waits for its doorbell. `false`: it must not, something is there.
    fn sleep(&self) -> bool;

    /// The number of the request whose code the worker runs now; 0: none. It lives as long as this.
    fn running(&self) -> &AtomicU64;

    /// Closes the port, because the worker has ended.
    fn close(&self);
}

/// A worker's end of a port. An app reaches it by the functions of [`table`](crate::table), from any thread.
pub struct WorkerEnd {
    port: Box<dyn WorkerPort>,
    /// How many counts of it the library has.
    pub(crate) lent: AtomicUsize,
}

impl WorkerEnd {
    /// An end that is this port.
    pub fn new(port: impl WorkerPort + 'static) -> Self {
        Self { port: Box::new(port), lent: AtomicUsize::new(0) }
    }
}

impl std::ops::Deref for WorkerEnd {
    type Target = dyn WorkerPort;

    fn deref(&self) -> &Self::Target {
        &*self.port
    }
}
