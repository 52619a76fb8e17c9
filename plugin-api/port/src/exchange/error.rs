//! Why a request has no answer.

use std::time::Duration;

use crate::answer::AnswerError;
use crate::timing::RequestTiming;

/// Why a request has no answer. `R` is why its app does not take one.
#[derive(Debug)]
pub enum ExchangeError<R> {
    /// The app did not take it.
    Refused(R),
    /// No worker had it within this time.
    NotTaken(Duration),
    /// A worker had it.
    Failed(Failure),
}

/// What happened to a request that a worker had.
#[derive(Debug)]
pub struct Failure {
    /// The number of the worker's generation.
    pub generation: u64,
    /// What the worker took for it, until now where it has not answered.
    pub times: RequestTiming,
    /// Why there is no answer.
    pub reason: FailureReason,
}

/// Why a worker that had a request did not answer it.
#[derive(Debug)]
pub enum FailureReason {
    /// The answer is none, or an error.
    Answer(AnswerError),
    /// The app has not answered within this time.
    TooLate(Duration),
    /// The client has not sent anything of the request's body within this time.
    ClientTooLate(Duration),
    /// The client sends the request's body more slowly than at the [minimum rate](super::pace).
    ClientTooSlow,
}
