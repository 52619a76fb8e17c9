//! A call of one of an app's methods.

use std::time::Duration;

use atoll_protocol::{ErrorObject, Request, code, method};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::failure;
use super::target::{self, Target};
use crate::answer::{self, AnswerError};
use crate::call_context::CallContext;
use crate::generation::Generation as _;
use crate::message::to_json;
use crate::problem::{Problem, ProblemKind};
use crate::reply_queue::WorkerGone;
use crate::timing::Taken;

/// Calls a method of an app's, which starts if need be, within its deadline or what `context` leaves of it; its result's
/// text. `note` gets the generation that had the call.
///
/// # Errors
/// The app's own, or one of the host's: [`code::METHOD_NOT_FOUND`] for the protocol's own methods,
/// [`code::UNAVAILABLE`], [`code::DEADLINE_EXCEEDED`], [`code::INTERNAL_ERROR`].
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet), and when `params` cannot be written as JSON.
pub async fn call<T: Target>(
    app: &T,
    method: &str,
    params: impl Serialize,
    mut context: CallContext,
    note: impl FnOnce(Taken),
) -> Result<Box<RawValue>, ErrorObject<'static>> {
    if method::is_reserved(method) {
        let message = format!("the method name {method} is reserved for the protocol");
        return Err(ErrorObject { code: code::METHOD_NOT_FOUND, message: message.into(), data: None });
    }
    context.set_request_line(["call ", method]);
    let limit = context.remaining(app.deadline());
    let deadline = Instant::now() + limit;
    context.set_deadline(deadline);
    let text = |id| to_json(&Request::new(id, method, &params)).into();
    let (in_flight, generation, answered) = loop {
        let sent = timeout_at(deadline, target::send(app, text, None, &context)).await;
        let (in_flight, mut answer) = sent.map_err(|_elapsed| too_late(app, limit))?.map_err(from_problem)?;
        let generation = in_flight.number();
        match timeout_at(deadline, &mut answer).await {
            // The next worker has it.
            Ok(Err(WorkerGone { handed_out: false })) => {}
            Ok(answered) => break (in_flight, generation, answered),
            Err(_elapsed) => {
                note(Taken { generation, times: answer.times() });
                return Err(too_late(app, limit));
            }
        }
    };
    let took = answered.as_ref().ok().map(|(_, times)| *times);
    note(Taken { generation, times: took.unwrap_or_default() });
    app.note_answer(&in_flight, took);
    let result = answered
        .map_err(AnswerError::from)
        .and_then(|(message, _)| Ok(answer::raw_result(&message.json)?.to_owned()));
    result.map_err(|error| from_answer(app, error))
}

/// That an app did not answer in time.
pub(crate) fn too_late(app: &impl Target, limit: Duration) -> ErrorObject<'static> {
    from_problem(failure::too_late(app, limit))
}

/// Converts an HTTP problem into an RPC error for a caller; errors of the app are passed on unchanged.
pub fn from_problem(problem: Problem) -> ErrorObject<'static> {
    let code = match problem.kind() {
        ProblemKind::Overloaded
        | ProblemKind::RateLimited
        | ProblemKind::QuotaUsedUp
        | ProblemKind::Unavailable
        | ProblemKind::UnknownApp => code::UNAVAILABLE,
        ProblemKind::DeadlineExceeded | ProblemKind::RequestTimeout => code::DEADLINE_EXCEEDED,
        ProblemKind::BodyTooLarge => code::BODY_TOO_LARGE,
        _ => code::INTERNAL_ERROR,
    };
    let data = problem.retries_after().map(|after| json!({ "retry_after_ms": after.as_millis() as u64 }));
    let detail = problem.detail().to_owned();
    problem.into_said().unwrap_or(ErrorObject { code, message: detail.into(), data })
}

fn from_answer(app: &impl Target, error: AnswerError) -> ErrorObject<'static> {
    let message = match error {
        AnswerError::Failed(error) => return error,
        // Not `UNAVAILABLE`, after which a caller may try again without a thought.
        AnswerError::WorkerGone(_) => format!(
            "a worker of the app `{}` exited during this call, which may have taken effect",
            app.name()
        ),
        error => error.to_string(),
    };
    ErrorObject { code: code::INTERNAL_ERROR, message: message.into(), data: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_learns_what_a_client_would() {
        let problem = Problem::new(ProblemKind::Overloaded, "full").retry_after(Duration::from_millis(1500));
        let error = from_problem(problem);
        assert_eq!((error.code, &*error.message), (code::UNAVAILABLE, "full"));
        assert_eq!(error.data, Some(json!({ "retry_after_ms": 1500 })));
        let error = from_problem(Problem::new(ProblemKind::DeadlineExceeded, "late"));
        assert_eq!((error.code, error.data), (code::DEADLINE_EXCEEDED, None));
    }

    #[test]
    fn what_an_app_said_is_passed_on() {
        let error = ErrorObject { code: 7, message: "out of stock".into(), data: Some(json!([1])) };
        let problem = Problem::new(ProblemKind::AppError(500), "").with_app_error(Some(error.clone()));
        assert_eq!(from_problem(problem), error);
    }
}
