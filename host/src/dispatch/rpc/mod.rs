//! One RPC method of an app, for all callers.

pub(crate) mod server;

use std::time::Duration;

use atoll_plugin::protocol::{ErrorObject, code, method};
use atoll_port::CallContext;
use atoll_port::answer::AnswerError;
use atoll_port::exchange::{Called, ExchangeError, Failure, FailureReason};
use serde_json::json;
use serde_json::value::RawValue;

use crate::app::handle::App;
use crate::dispatch::exchange;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::timing::Taken;

/// Calls a method of an app's, which starts if need be; its result's text. `note` gets the generation that had the
/// call.
///
/// # Errors
/// The app's own, or one of the host's: [`code::METHOD_NOT_FOUND`] for the protocol's own methods,
/// [`code::UNAVAILABLE`], [`code::DEADLINE_EXCEEDED`], [`code::INTERNAL_ERROR`].
pub(crate) async fn call(
    app: &App,
    method: &str,
    params: Option<&RawValue>,
    context: CallContext,
    note: impl FnOnce(Taken),
) -> Result<Box<RawValue>, ErrorObject<'static>> {
    if method::is_reserved(method) {
        let message = format!("the method name {method} is reserved for the protocol");
        return Err(ErrorObject { code: code::METHOD_NOT_FOUND, message: message.into(), data: None });
    }
    let (taken, result) = match atoll_port::exchange::call(app, method, params, context).await {
        Ok(Called { generation, times, result }) => (Taken { generation, times }, Ok(result)),
        Err(ExchangeError::Refused(problem)) => return Err(from_problem(problem)),
        Err(ExchangeError::NotTaken(limit)) => return Err(too_late(app, limit)),
        Err(ExchangeError::Failed(Failure { generation, times, reason })) => {
            (Taken { generation, times }, Err(from_failure(app, reason)))
        }
    };
    note(taken);
    result
}

/// That an app did not answer in time.
pub(crate) fn too_late(app: &App, limit: Duration) -> ErrorObject<'static> {
    from_problem(exchange::too_late(app, limit))
}

/// Converts an HTTP problem into an RPC error for a caller; errors of the app are passed on unchanged.
pub(crate) fn from_problem(problem: Problem) -> ErrorObject<'static> {
    let code = match problem.kind() {
        ProblemKind::Overloaded
        | ProblemKind::RateLimited
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

fn from_failure(app: &App, reason: FailureReason) -> ErrorObject<'static> {
    match reason {
        FailureReason::Answer(error) => from_answer(app, error),
        FailureReason::TooLate(limit) | FailureReason::ClientTooLate(limit) => too_late(app, limit),
        // A call has no body that a client sends.
        FailureReason::ClientTooSlow => too_late(app, app.deadline()),
    }
}

fn from_answer(app: &App, error: AnswerError) -> ErrorObject<'static> {
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
        let said = ErrorObject { code: 7, message: "out of stock".into(), data: Some(json!([1])) };
        let problem = Problem::new(ProblemKind::AppError(500), "").said_by_app(Some(said.clone()));
        assert_eq!(from_problem(problem), said);
    }
}
