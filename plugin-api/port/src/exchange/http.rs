//! An HTTP request to an app.

use std::time::Duration;

use atoll_protocol::{HttpRequest, HttpResponse};
use tokio::time::{Instant, timeout_at};

use super::failure::{client_too_late, client_too_slow, failed, too_late};
use super::pending::Exchange;
use super::request_body::RequestBody;
use super::response::{self, Answered, ResponseBody};
use super::target::{self, Target};
use crate::answer::AnswerError;
use crate::call_context::CallContext;
use crate::generation::Generation as _;
use crate::problem::Problem;
use crate::reply_queue::WorkerGone;
use crate::timing::Taken;
use crate::worker_message::ReplyEvent;

/// Sends a request to an app, and reads its answer with `read`, which also gets the generation that sent it: status and
/// headers borrow from it, the body holds the memory that it is in and may outlive the app's library. The deadline and the
/// place of the body in `request` are set here.
///
/// The app's deadline, or what `context` leaves of it, covers its start as well, and ends with the head of the answer. While
/// the client is still sending its body, it restarts with each chunk. A request that a worker never had, because it ended,
/// goes to the next one.
///
/// # Errors
/// See [`ProblemKind`](crate::problem::ProblemKind).
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet).
pub async fn http<T: Target, R>(
    app: &T,
    mut request: HttpRequest<'_>,
    body: RequestBody,
    mut context: CallContext,
    read: impl FnOnce(Answered<'_, T::Generation>, HttpResponse<'_>, ResponseBody<T::Generation>) -> R,
) -> Result<R, Problem> {
    context.set_request_line([&*request.method, " ", &*request.prefix, &*request.path]);
    let limit = context.remaining(app.deadline());
    request.deadline_ms = u64::try_from(limit.as_millis()).ok();
    request.body = body.in_message();
    let mut deadline = Instant::now() + limit;
    if !matches!(body, RequestBody::Stream(..)) {
        context.set_deadline(deadline);
    }
    let (text, whole) = (|id| request.message(id), body.whole());
    let mut sent = target::send_now(app, text, whole.as_ref(), &context);
    let mut upload = body.into_upload();
    let is_upload = upload.is_some();
    let (mut exchange, first) = loop {
        let (in_flight, answer) = match sent.take() {
            Some(sent) => sent?,
            // Rare, and large as a future: with it inside, that of every request would be.
            None => {
                let text = |id| {
                    let mut text = text(id);
                    HttpRequest::set_deadline(&mut text.json, left_ms(deadline));
                    text
                };
                Box::pin(timeout_at(deadline, target::send(app, text, whole.clone(), &context)))
                    .await
                    .map_err(|_elapsed| too_late(app, limit))??
            }
        };
        let mut exchange = Exchange::new(in_flight, answer, upload.take());
        exchange.set_deadline(deadline);
        let first = loop {
            match exchange.event_in_time().await {
                // For what has all been sent.
                Some(Ok(ReplyEvent::Credit(_))) => {}
                Some(event) => break event,
                None => {
                    deadline = exchange.sent.map_or(deadline, |sent| deadline.max(sent + limit));
                    let is_late = deadline <= Instant::now();
                    let problem = match exchange.too_slow() {
                        _ if is_late && exchange.waits_for_client() => client_too_late(app, limit),
                        _ if is_late => too_late(app, limit),
                        Some(behind) => client_too_slow(app, behind),
                        None => {
                            exchange.set_deadline(deadline);
                            continue;
                        }
                    };
                    let generation = exchange.in_flight().number();
                    return Err(problem.taken_by(Taken { generation, times: exchange.answer().times() }));
                }
            }
        };
        // A worker that ended before it had the request leaves it to the next one, unless some of its body went with it.
        let is_given_back = matches!(first, Err(WorkerGone { handed_out: false }));
        if is_given_back && exchange.sent.is_none() && exchange.upload.is_some() == is_upload {
            upload = exchange.upload.take();
        } else {
            break (exchange, first);
        }
    };
    let generation = exchange.in_flight().number();
    if let Ok(ReplyEvent::Refused(problem)) = first {
        exchange.answer().finish();
        return Err(problem.taken_by(Taken { generation, times: exchange.answer().times() }));
    }
    let took = match &first {
        Ok(ReplyEvent::Answer(_, times)) => Some(*times),
        _ => None,
    };
    app.note_answer(exchange.in_flight(), took);
    let times = took.unwrap_or_else(|| exchange.answer().times());
    let answered = match first {
        Ok(ReplyEvent::Answer(message, _)) => {
            response::read(message, exchange, app.head_limit(), |generation, head, body| {
                read(Answered { generation, times }, head, body)
            })
        }
        Ok(_) => Err(AnswerError::NoHead),
        Err(gone) => Err(gone.into()),
    };
    answered.map_err(|error| {
        failed(app, generation, &request.request_id, error).taken_by(Taken { generation, times })
    })
}

/// Until a deadline, in milliseconds.
fn left_ms(deadline: Instant) -> u64 {
    let left: Duration = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}
