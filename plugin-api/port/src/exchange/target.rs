//! Where requests are sent.

use std::time::Duration;

use atoll_protocol::IndexedText;
use bytes::Bytes;

use super::failure::queue_full;
use crate::buffer;
use crate::call_context::CallContext;
use crate::generation::{Generation, InFlight};
use crate::problem::Problem;
use crate::reply::{Answer, CallError};
use crate::timing::RequestTiming;

/// A request that a worker of a generation has.
pub type Sent<G> = (InFlight<G>, Answer);

/// An app that requests are sent to, over all its generations.
pub trait Target {
    /// What serves its requests.
    type Generation: Generation;

    /// Its name.
    fn name(&self) -> &str;

    /// How long a request to it may take.
    fn deadline(&self) -> Duration;

    /// How many bytes the head of its responses may have.
    fn head_limit(&self) -> usize;

    /// How many bytes a body that it takes as a whole may have.
    fn body_limit(&self) -> usize;

    /// Whether its clients see the reasons of its failures.
    fn shows_details(&self) -> bool;

    /// Logs that a request to it has failed.
    fn log_failure(&self, line: impl FnOnce() -> String);

    /// Admits a request to the generation that serves; `None` if no generation serves.
    ///
    /// # Errors
    /// The app has as many requests as it may have.
    fn enter(&self) -> Option<Result<InFlight<Self::Generation>, Problem>>;

    /// Waits until a generation serves.
    ///
    /// # Errors
    /// None will: why.
    fn wait(&self) -> impl Future<Output = Result<(), Problem>>;

    /// Notes that the worker that had a request has ended it: by an answer, which took this long, or by its own end.
    fn note_answer(&self, generation: &Self::Generation, times: Option<RequestTiming>);
}

/// Sends a request of any method to the generation that serves: the text that `text` writes for the given id. `None` if no
/// generation serves. What the app calls for it carries `context` on.
pub(super) fn send_now<T: Target>(
    target: &T,
    text: impl Fn(u64) -> IndexedText,
    body: Option<&Bytes>,
    context: &CallContext,
) -> Option<Result<Sent<T::Generation>, Problem>> {
    let in_flight = match target.enter()? {
        Ok(in_flight) => in_flight,
        Err(problem) => return Some(Err(problem)),
    };
    match in_flight.workers().call(text, body.cloned().map(buffer::from_bytes), Some(context)) {
        Ok(answer) => Some(Ok((in_flight, answer))),
        Err(CallError::Full(queue)) => Some(Err(queue_full(target, queue))),
        // Its workers have ended.
        Err(CallError::Closed) => {
            in_flight.requests().retire();
            None
        }
    }
}

/// Sends a request of any method to the generation that serves. Where none serves, it waits for one.
///
/// # Errors
/// The app does not take the request.
pub async fn send<T: Target>(
    target: &T,
    text: impl Fn(u64) -> IndexedText,
    body: Option<Bytes>,
    context: &CallContext,
) -> Result<Sent<T::Generation>, Problem> {
    loop {
        if let Some(sent) = send_now(target, &text, body.as_ref(), context) {
            return sent;
        }
        target.wait().await?;
    }
}
