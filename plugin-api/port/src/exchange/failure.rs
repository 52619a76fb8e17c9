//! The problems that a client gets when an app does not respond.

use std::time::Duration;

use atoll_protocol::{ErrorData, ErrorObject, code};

use super::pace;
use super::target::Target;
use crate::answer::AnswerError;
use crate::problem::{Problem, ProblemKind};

pub(super) fn failed(app: &impl Target, generation: u64, request_id: &str, error: AnswerError) -> Problem {
    let app_error = match &error {
        AnswerError::Failed(error) => Some(error.clone()),
        _ => None,
    };
    of_answer(app, generation, request_id, error).with_app_error(app_error)
}

fn of_answer(app: &impl Target, generation: u64, request_id: &str, error: AnswerError) -> Problem {
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
            app.log_failure(|| format!("{who}: request {request_id}: {error}"));
            let what = format!("The app `{name}` did not return a valid HTTP response");
            Problem::new(ProblemKind::BadGateway, detail(app, &what, "see its log", &error.to_string()))
        }
        AnswerError::Failed(ErrorObject { code: code::HANDLER_PANICKED, message, .. }) => {
            app.log_failure(|| format!("{who}: request {request_id}: a handler panicked: {message}"));
            let what = format!("A handler of the app `{name}` panicked");
            Problem::new(ProblemKind::AppPanicked, detail(app, &what, "see its log", &message))
        }
        AnswerError::Failed(ErrorObject { code: code::BODY_TOO_LARGE, .. }) => {
            let limit = app.body_limit();
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
            app.log_failure(|| format!("{who}: request {request_id}: {message}"));
            let what = format!("A handler of the app `{name}` failed");
            Problem::new(ProblemKind::AppError(status), detail(app, &what, "see its log", &message))
        }
    }
}

/// What happened, with the reason for the app's developers, or with a pointer to the log.
fn detail(app: &impl Target, what: &str, elsewhere: &str, reason: &str) -> String {
    if app.shows_details() { format!("{what}: {reason}") } else { format!("{what}; {elsewhere}.") }
}

/// That each worker of an app has as many requests in its inbox as may wait there.
pub(super) fn queue_full(app: &impl Target, queue: usize) -> Problem {
    let detail = format!(
        "Each worker of the app `{}` has reached its limit of {queue} queued requests (queue = {queue}). Try again \
        later.",
        app.name()
    );
    Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))
}

pub(super) fn too_late(app: &impl Target, limit: Duration) -> Problem {
    let (name, within) = (app.name(), within(limit, app.deadline()));
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

pub(super) fn client_too_late(app: &impl Target, limit: Duration) -> Problem {
    let detail = format!(
        "No data of the request body arrived within deadline_ms = {} of the app `{}`.",
        limit.as_millis(),
        app.name()
    );
    Problem::new(ProblemKind::RequestTimeout, detail)
}

pub(super) fn client_too_slow(app: &impl Target, behind: Duration) -> Problem {
    let (rate, seconds) = (pace::MIN_RATE, behind.as_secs_f32());
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
