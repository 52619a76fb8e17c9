//! Why there is no process for an app.

use std::io;
use std::time::Duration;

/// Why an app process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// The system has no process, descriptors or memory for it.
    #[error("cannot start a process for the app: {0}")]
    Start(#[from] io::Error),
    /// It could not be restricted as its settings ask for; why.
    #[error("cannot sandbox the process of the app: {0}")]
    Sandbox(String),
    /// It was refused there, as a host would refuse it; why.
    #[error("{0}")]
    Refused(String),
    /// There is no thread for a worker.
    #[error("cannot start a thread for worker {worker} in the process of the app: {reason}")]
    Thread {
        /// The worker's number.
        worker: usize,
        /// The system's error.
        reason: io::Error,
    },
    /// The process ended before it was ready.
    #[error("it could not be opened in a process: {0}")]
    Ended(String),
    /// It took too long.
    #[error("opening the library in a process took longer than {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}
