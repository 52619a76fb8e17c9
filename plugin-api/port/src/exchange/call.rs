//! A call of one of an app's methods.

use atoll_protocol::Request;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::error::{ExchangeError, Failure, FailureReason};
use super::target::{self, Target};
use crate::answer::{self, AnswerError};
use crate::call_context::CallContext;
use crate::generation::Generation as _;
use crate::message::to_json;
use crate::reply_queue::WorkerGone;
use crate::timing::RequestTiming;

/// The result of a method.
#[derive(Debug)]
pub struct Called {
    /// The number of the generation that had the call.
    pub generation: u64,
    /// What its worker took.
    pub times: RequestTiming,
    /// The result's text.
    pub result: Box<RawValue>,
}

/// Calls a method of an app's, within its deadline or what `context` leaves of it.
///
/// # Errors
/// See [`ExchangeError`]; the method's own error is [`AnswerError::Failed`].
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet), and when `params` cannot be written as JSON.
pub async fn call<T: Target>(
    app: &T,
    method: &str,
    params: impl Serialize,
    mut context: CallContext,
) -> Result<Called, ExchangeError<T::Refusal>> {
    let limit = context.remaining(app.deadline());
    let deadline = Instant::now() + limit;
    context.set_deadline(deadline);
    let json = |id| to_json(&Request::new(id, method, &params));
    let (in_flight, answered) = loop {
        let sent = timeout_at(deadline, target::send(app, json, None, &context)).await;
        let (in_flight, mut answer) =
            sent.map_err(|_elapsed| ExchangeError::NotTaken(limit))?.map_err(ExchangeError::Refused)?;
        match timeout_at(deadline, &mut answer).await {
            // The next worker has it.
            Ok(Err(WorkerGone { handed_out: false })) => {}
            Ok(answered) => break (in_flight, answered),
            Err(_elapsed) => {
                let (generation, times) = (in_flight.number(), answer.times());
                let reason = FailureReason::TooLate(limit);
                return Err(ExchangeError::Failed(Failure { generation, times, reason }));
            }
        }
    };
    let generation = in_flight.number();
    let took = answered.as_ref().ok().map(|(_, times)| *times);
    app.note_answer(&in_flight, took);
    let times = took.unwrap_or_default();
    let result = answered
        .map_err(AnswerError::from)
        .and_then(|(message, _)| Ok(answer::raw_result(&message.json)?.to_owned()));
    match result {
        Ok(result) => Ok(Called { generation, times, result }),
        Err(error) => {
            let reason = FailureReason::Answer(error);
            Err(ExchangeError::Failed(Failure { generation, times, reason }))
        }
    }
}
