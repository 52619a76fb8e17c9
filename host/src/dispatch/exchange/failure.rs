//! The problems that a client gets when an app does not respond.

use std::time::Duration;

use atoll_plugin::protocol::{ErrorData, ErrorObject, code};
use atoll_port::answer::AnswerError;
use atoll_port::exchange::{ExchangeError, Failure, FailureReason, pace};

use crate::app::handle::App;
use crate::app::unavailable::Unavailable;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::timing::Taken;

/// The problem of a request without an answer.
pub(super) fn problem(app: &App, request_id: &str, error: ExchangeError<Problem>) -> Problem {
    match error {
        ExchangeError::Refused(problem) => problem,
        ExchangeError::NotTaken(limit) => too_late(app, limit),
        ExchangeError::Failed(Failure { generation, times, reason }) => {
            let problem = match reason {
                FailureReason::Answer(error) => failed(app, generation, request_id, error),
                FailureReason::TooLate(limit) => too_late(app, limit),
                FailureReason::ClientTooLate(limit) => client_too_late(app, limit),
                FailureReason::ClientTooSlow => client_too_slow(app),
            };
            problem.taken_by(Taken { generation, times })
        }
    }
}

fn failed(app: &App, generation: u64, request_id: &str, error: AnswerError) -> Problem {
    let said = match &error {
        AnswerError::Failed(error) => Some(error.clone()),
        _ => None,
    };
    of_answer(app, generation, request_id, error).said_by_app(said)
}

fn of_answer(app: &App, generation: u64, request_id: &str, error: AnswerError) -> Problem {
    let name = app.name();
    let who = format!("{name}#{generation}");
    match error {
        AnswerError::WorkerGone(_) => Problem::new(
            ProblemKind::BadGateway,
            format!("A worker of the app `{name}` exited during this request, which may have taken effect."),
        ),
        AnswerError::Malformed(_)
        | AnswerError::NoBuffer(_)
        | AnswerError::NoHead
        | AnswerError::HeadTooLarge { .. } => {
            app.app_log().log_failure(|| format!("{who}: request {request_id}: {error}"));
            let what = format!("The app `{name}` did not return a valid HTTP response");
            Problem::new(ProblemKind::BadGateway, detail(app, &what, "see its log", &error.to_string()))
        }
        AnswerError::Failed(ErrorObject { code: code::HANDLER_PANICKED, message, .. }) => {
            app.app_log()
                .log_failure(|| format!("{who}: request {request_id}: a handler panicked: {message}"));
            let what = format!("A handler of the app `{name}` panicked");
            Problem::new(ProblemKind::AppPanicked, detail(app, &what, "see its log", &message))
        }
        AnswerError::Failed(ErrorObject { code: code::BODY_TOO_LARGE, .. }) => {
            let limit = app.settings().body_limit;
            let detail = format!("The app `{name}` accepts bodies of at most body_limit = {limit} bytes.");
            Problem::new(ProblemKind::BodyTooLarge, detail)
        }
        AnswerError::Failed(ErrorObject { code: code::CANCELLED, .. }) => {
            Problem::new(ProblemKind::DeadlineExceeded, format!("The app `{name}` dropped the request."))
        }
        AnswerError::Failed(ErrorObject { message, data, .. }) => {
            let status = data
                .and_then(|data| serde_json::from_value::<ErrorData>(data).ok())
                .map(|data| data.status)
                .filter(|status| (400..600).contains(status))
                .unwrap_or(500);
            if status < 500 {
                return Problem::new(ProblemKind::AppError(status), message);
            }
            app.app_log().log_failure(|| format!("{who}: request {request_id}: {message}"));
            let what = format!("A handler of the app `{name}` failed");
            Problem::new(ProblemKind::AppError(status), detail(app, &what, "see its log", &message))
        }
    }
}

/// What happened, with the reason for the app's developers, or with a pointer to the log.
fn detail(app: &App, what: &str, elsewhere: &str, reason: &str) -> String {
    if app.shows_details() { format!("{what}: {reason}") } else { format!("{what}; {elsewhere}.") }
}

pub(super) fn unavailable(app: &App, error: &Unavailable) -> Problem {
    let detail = match error {
        Unavailable::Unusable(reason) | Unavailable::Resting { reason, .. } => {
            log::debug!("{}: {error}", app.name());
            let what = format!("The app `{}` failed to start", app.name());
            detail(app, &what, "see the host's log", reason)
        }
        Unavailable::Blocked(reason) => {
            let what = format!(
                "The app `{}` was not started because too many of its earlier generations could not be unloaded",
                app.name()
            );
            detail(app, &what, "see the host's log", reason)
        }
        Unavailable::Disabled => format!("The app `{}` is disabled.", app.name()),
        Unavailable::Closing => format!("The app `{}` is shutting down.", app.name()),
    };
    let retry_after = match error {
        Unavailable::Resting { retry_after, .. } => *retry_after,
        Unavailable::Unusable(_) | Unavailable::Blocked(_) | Unavailable::Disabled | Unavailable::Closing => {
            Duration::from_secs(5)
        }
    };
    Problem::new(ProblemKind::Unavailable, detail).retry_after(retry_after)
}

pub(crate) fn too_late(app: &App, limit: Duration) -> Problem {
    let (name, within) = (app.name(), within(limit, app.settings().deadline()));
    let detail = format!("The app `{name}` did not respond within {within}. The request was cancelled.");
    Problem::new(ProblemKind::DeadlineExceeded, detail)
}

/// Which limit it was, of an app with this deadline.
fn within(limit: Duration, deadline: Duration) -> String {
    let ms = limit.as_millis();
    if limit < deadline {
        format!("the {ms} ms left of its caller's deadline")
    } else {
        format!("deadline_ms = {ms}")
    }
}

fn client_too_late(app: &App, limit: Duration) -> Problem {
    let detail = format!(
        "No data of the request body arrived within deadline_ms = {} of the app `{}`.",
        limit.as_millis(),
        app.name()
    );
    Problem::new(ProblemKind::RequestTimeout, detail)
}

fn client_too_slow(app: &App) -> Problem {
    let (rate, seconds) = (pace::MIN_RATE, pace::MAX_BEHIND.as_secs());
    let detail = format!(
        "The request's body for the app `{}` is {seconds} seconds behind {rate} bytes per second, the minimum rate.",
        app.name()
    );
    Problem::new(ProblemKind::RequestTimeout, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_the_callers_or_the_apps_own() {
        let [short, long] = [200, 600].map(Duration::from_millis);
        assert_eq!(within(short, long), "the 200 ms left of its caller's deadline");
        assert_eq!(within(long, long), "deadline_ms = 600");
    }
}
