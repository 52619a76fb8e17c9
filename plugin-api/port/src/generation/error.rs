//! Why a generation failed to start, or does not save its state.

use std::io;
use std::time::Duration;

use crate::answer::AnswerError;
use crate::reply::CallError;

/// Why a generation did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The worker did not take the first message.
    #[error("worker {worker} rejected `start`: {reason}")]
    Call {
        /// The worker's number.
        worker: usize,
        /// Why.
        reason: CallError,
    },
    /// There is no thread for a worker.
    #[error("cannot start a thread for worker {worker}: {reason}")]
    Thread {
        /// The worker's number.
        worker: usize,
        /// The system's error.
        reason: io::Error,
    },
    /// The app said no, panicked or ended.
    #[error("worker {worker} failed to start: {reason}")]
    Refused {
        /// The worker's number.
        worker: usize,
        /// What it answered.
        reason: AnswerError,
    },
    /// The app was not ready in time.
    #[error("it was not ready within start_timeout_ms = {}", .0.as_millis())]
    TimedOut(Duration),
}

/// Why a generation's state could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A worker did not take the request.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A worker answered with an error.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A worker did not answer in time.
    #[error("it did not respond within {} ms", .0.as_millis())]
    TimedOut(Duration),
}
