//! What runs the workers of a generation.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::sandbox::InForce;

/// How much memory an app has allocated, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapBytes {
    /// Now, or when a worker was last at rest where it is in a separate process.
    pub live: u64,
    /// The most that it has been.
    pub peak: u64,
}

/// A process that runs the workers of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number.
    pub id: u32,
    /// What of its sandbox is in force; `None`: it has none.
    pub sandbox: Option<InForce>,
}

/// What runs the workers of a generation.
pub(crate) trait Runner: Send + Sync {
    /// A worker for which there was no thread, and why; once.
    fn take_fault(&self) -> Option<(usize, io::Error)> {
        None
    }

    /// Notes that workers which end from now on do so because they are to.
    fn note_stop(&self);

    /// Waits for the workers, which have to be notified before: until `limit`, then as long again after `close`, which closes
    /// their ports. Those that are left, still in the app's code: which they are.
    fn stop<'a>(&'a self, limit: Duration, close: &'a (dyn Fn() + Send + Sync))
    -> BoxFuture<'a, Vec<String>>;

    /// Has the app report log records up to this level: 0 (none) to 5 (trace).
    fn set_log_level(&self, level: u8);

    /// The process that the workers have for themselves, if they have one.
    fn process(&self) -> Option<ProcessInfo> {
        None
    }

    /// The number of the request whose code a worker runs now, where that is not known to its port.
    fn running_request(&self, _worker: usize) -> Option<u64> {
        None
    }

    /// How much memory the app has allocated.
    fn heap(&self) -> HeapBytes;

    /// The CPU time that the app has used; it never goes down.
    fn cpu_time(&self) -> Duration;
}
