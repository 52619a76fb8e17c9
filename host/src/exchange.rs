//! One HTTP request through an app's port, whatever it came by.

use std::time::Duration;

use atoll_plugin::abi::Message;
use atoll_plugin::protocol::{self, ErrorData, ErrorObject, HttpRequest, HttpResponse, code, method};
use bytes::Bytes;
use tokio::time::timeout;

use crate::answer::{self, AnswerError};
use crate::app::{App, Unavailable};
use crate::buffer;
use crate::generation::{Generation, InFlight};
use crate::lane::Completion;
use crate::port::CallError;
use crate::problem::{Kind, Problem};

/// Sends a request to an app, and reads its answer with `read`, which is told the generation that gave it: status and
/// headers borrow from it, the body holds the memory that it is in and may outlive the app's library. The app's deadline covers its start as well.
///
/// # Errors
/// See [`Kind`].
pub async fn http<T>(
    app: &App,
    mut request: HttpRequest<'_>,
    body: Option<Bytes>,
    read: impl FnOnce(&Generation, HttpResponse<'_>, Bytes) -> T,
) -> Result<T, Problem> {
    let deadline = app.settings().deadline();
    request.deadline_ms = u64::try_from(deadline.as_millis()).ok();
    request.body = body.as_ref().map(|_| protocol::Body::Transfer(0));
    let (in_flight, completion) =
        timeout(deadline, send(app, &request, body)).await.map_err(|_elapsed| {
            let detail = format!(
                "The app `{}` did not answer within deadline_ms = {}. The request was cancelled.",
                app.name(),
                deadline.as_millis()
            );
            Problem::new(Kind::DeadlineExceeded, detail)
        })??;
    in_flight.note_answer();
    completion
        .map_err(AnswerError::from)
        .and_then(|message| read_answer(message, |head, body| read(&in_flight, head, body)))
        .map_err(|error| failed(app, in_flight.number(), &request.request_id, error))
}

/// Sends the request to the generation that serves, and waits for what comes back.
async fn send(
    app: &App,
    request: &HttpRequest<'_>,
    body: Option<Bytes>,
) -> Result<(InFlight, Completion), Problem> {
    loop {
        let in_flight = app.acquire().await.map_err(|error| unavailable(app, &error))?;
        match in_flight.call(method::HTTP, request, body.clone().map(buffer::from_bytes)) {
            Ok(answer) => {
                let completion = answer.await;
                return Ok((in_flight, completion));
            }
            Err(CallError::Full(queue)) => {
                let detail = format!(
                    "{queue} requests wait for each worker of the app `{}`, its limit (queue = {queue}). Try again.",
                    app.name()
                );
                return Err(Problem::new(Kind::Overloaded, detail).retry_after(Duration::from_secs(1)));
            }
            // Its workers have ended, and the driver knows: it brings the next generation.
            Err(CallError::Closed) => in_flight.retire(),
        }
    }
}

fn read_answer<T>(
    message: Message,
    read: impl FnOnce(HttpResponse<'_>, Bytes) -> T,
) -> Result<T, AnswerError> {
    let Message { json, mut transfer } = message;
    let response: HttpResponse<'_> = serde_json::from_str(answer::raw_result(&json)?.get())?;
    let body = match response.body {
        None => Bytes::new(),
        Some(protocol::Body::Transfer(index)) => {
            let buffer = transfer.take(index).ok_or(AnswerError::NoBuffer(index))?;
            Bytes::from_owner(buffer)
        }
    };
    Ok(read(response, body))
}

fn failed(app: &App, generation: u64, request_id: &str, error: AnswerError) -> Problem {
    let name = app.name();
    let who = format!("{name}#{generation}");
    match error {
        AnswerError::Gone(_) => Problem::new(
            Kind::BadGateway,
            format!(
                "A worker of the app `{name}` ended while it had this request. It may have been carried out."
            ),
        ),
        AnswerError::Malformed(_) | AnswerError::NoBuffer(_) => {
            log::error!("{who}: request {request_id}: {error}");
            let what = format!("What the app `{name}` answered is not an HTTP response");
            Problem::new(Kind::BadGateway, detail(app, &what, "its log says more", &error.to_string()))
        }
        AnswerError::Failed(ErrorObject { code: code::HANDLER_PANICKED, message, .. }) => {
            log::error!("{who}: request {request_id}: a handler panicked: {message}");
            let what = format!("A handler of the app `{name}` panicked");
            Problem::new(Kind::AppPanicked, detail(app, &what, "its log says more", &message))
        }
        AnswerError::Failed(ErrorObject { code: code::CANCELLED, .. }) => {
            Problem::new(Kind::DeadlineExceeded, format!("The app `{name}` dropped the request."))
        }
        AnswerError::Failed(ErrorObject { message, data, .. }) => {
            let status = data
                .and_then(|data| serde_json::from_value::<ErrorData>(data).ok())
                .map(|data| data.status)
                .filter(|status| (400..600).contains(status))
                .unwrap_or(500);
            if status < 500 {
                return Problem::new(Kind::AppError(status), message);
            }
            log::error!("{who}: request {request_id}: {message}");
            let what = format!("A handler of the app `{name}` failed");
            Problem::new(Kind::AppError(status), detail(app, &what, "its log says more", &message))
        }
    }
}

/// What happened, with the reason for those who write the app, and for others with where it is told.
fn detail(app: &App, what: &str, elsewhere: &str, reason: &str) -> String {
    if app.shows_details() { format!("{what}: {reason}") } else { format!("{what}; {elsewhere}.") }
}

fn unavailable(app: &App, error: &Unavailable) -> Problem {
    let detail = match error {
        Unavailable::Unusable(reason) | Unavailable::Resting { reason, .. } => {
            log::debug!("{}: {error}", app.name());
            let what = format!("The app `{}` did not start", app.name());
            detail(app, &what, "the host's log says why", reason)
        }
        Unavailable::Closing => format!("The app `{}` is being taken down.", app.name()),
    };
    let retry_after = match error {
        Unavailable::Resting { retry_after, .. } => *retry_after,
        Unavailable::Unusable(_) | Unavailable::Closing => Duration::from_secs(5),
    };
    Problem::new(Kind::Unavailable, detail).retry_after(retry_after)
}
