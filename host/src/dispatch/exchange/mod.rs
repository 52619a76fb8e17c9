//! One HTTP request through an app's port, whatever it came by.

mod credit;
mod download;
mod failure;
mod frames;
pub(crate) mod pace;
mod upload;

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atoll_plugin::abi::Message;
use atoll_plugin::protocol::{self, HttpRequest, HttpResponse};
use atoll_port::answer::{self, AnswerError};
use atoll_port::{Answer, CallContext, CallError, ReplyEvent, WorkerGone};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::credit::with_grant;
pub use self::download::Download;
use self::failure::{failed, unavailable};
use self::upload::Upload;
pub(crate) use self::upload::WHOLE_LIMIT;
pub use self::upload::{BodySource, RequestBody};
use crate::app::handle::App;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::generation::handle::{Generation, InFlight};
use crate::memory::buffer;
use crate::observe::timing::{RequestTiming, Taken};

/// Who has answered, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The generation.
    pub generation: &'a Generation,
    /// What its worker took.
    pub times: RequestTiming,
}

/// The body of an app's answer.
pub enum ResponseBody {
    /// All of it.
    Whole(Bytes),
    /// It follows.
    Stream(Download),
    /// The app has accepted a WebSocket handshake.
    WebSocket(Exchange),
}

/// One request, from the moment that it was sent to a generation: its answer, and the streams in both directions.
/// If it is dropped before the end, the request is cancelled.
pub struct Exchange {
    in_flight: InFlight,
    answer: Answer,
    upload: Option<Upload>,
    /// When a piece of the request's body was sent last, after the request itself.
    sent: Option<Instant>,
}

impl Exchange {
    /// The next thing that the app has sent, while the request's body goes to it as it takes it.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<ReplyEvent, WorkerGone>> {
        loop {
            if let Some(upload) = &mut self.upload {
                let complete = upload.poll_send(&self.answer, context).is_ready();
                self.sent = upload.last_sent().or(self.sent);
                if complete {
                    self.upload = None;
                }
            }
            match (ready!(self.answer.poll_event(context)), &mut self.upload) {
                (Ok(ReplyEvent::Credit(bytes)), Some(upload)) => upload.grant(bytes),
                (event, _) => return Poll::Ready(event),
            }
        }
    }

    /// The next thing that the app has sent.
    pub(crate) async fn event(&mut self) -> Result<ReplyEvent, WorkerGone> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The next thing that the app has sent; `None` when the deadline has passed before.
    async fn event_in_time(&mut self) -> Option<Result<ReplyEvent, WorkerGone>> {
        poll_fn(|context| match self.poll_event(context) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending if self.answer.is_late() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Whether the client sends the body too slowly.
    fn is_too_slow(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.pace().is_too_slow(Instant::now()))
    }

    /// When to look whether it takes too long: at the deadline, or when the client may be too slow with the body.
    fn set_deadline(&mut self, deadline: Instant) {
        let look = self.upload.as_ref().map(|upload| upload.pace().next_look(Instant::now()));
        self.answer.set_deadline(look.map_or(deadline, |look| look.min(deadline)));
    }

    /// Whether the app would take more of the body than the client has sent.
    fn waits_for_client(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::has_credit)
    }

    pub(crate) fn answer(&mut self) -> &mut Answer {
        &mut self.answer
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }
}

/// Sends a request to an app, and reads its answer with `read`, which also gets the generation that sent it: status and
/// headers borrow from it, the body holds the memory that it is in and may outlive the app's library.
///
/// The app's deadline covers its start as well, and ends with the head of the answer. While the client is still sending
/// its body, it restarts with each chunk.
///
/// # Errors
/// See [`ProblemKind`].
pub fn http<T>(
    app: &App,
    request: HttpRequest<'_>,
    body: RequestBody,
    read: impl FnOnce(Answered<'_>, HttpResponse<'_>, ResponseBody) -> T,
) -> impl Future<Output = Result<T, Problem>> {
    let context = CallContext::of_http(&request);
    http_on_behalf(app, request, body, context, read)
}

/// As [`http`], for a request that may be one app's to another: it ends when the first caller stops waiting.
pub(crate) async fn http_on_behalf<T>(
    app: &App,
    mut request: HttpRequest<'_>,
    body: RequestBody,
    mut context: CallContext,
    read: impl FnOnce(Answered<'_>, HttpResponse<'_>, ResponseBody) -> T,
) -> Result<T, Problem> {
    let limit = context.remaining(app.deadline());
    request.deadline_ms = u64::try_from(limit.as_millis()).ok();
    request.body = body.in_message();
    let mut deadline = Instant::now() + limit;
    if !matches!(body, RequestBody::Stream(_)) {
        context.set_deadline(deadline);
    }
    let (json, whole) = (|id| request.message(id), body.whole());
    let mut sent = send_now(app, json, whole.as_ref(), &context);
    let mut upload = body.into_upload();
    let is_upload = upload.is_some();
    let (exchange, first) = loop {
        let (in_flight, answer) = match sent.take() {
            Some(sent) => sent?,
            // Rare, and large as a future: with it inside, that of every request would be.
            None => {
                let json = |id| {
                    let mut message = json(id);
                    HttpRequest::set_deadline(&mut message, left_ms(deadline));
                    message
                };
                Box::pin(timeout_at(deadline, send(app, json, whole.clone(), &context)))
                    .await
                    .map_err(|_elapsed| too_late(app, limit))??
            }
        };
        let mut exchange = Exchange { in_flight, answer, upload: upload.take(), sent: None };
        exchange.set_deadline(deadline);
        let first = loop {
            match exchange.event_in_time().await {
                // For what has all been sent.
                Some(Ok(ReplyEvent::Credit(_))) => {}
                Some(event) => break event,
                None => {
                    deadline = exchange.sent.map_or(deadline, |sent| deadline.max(sent + limit));
                    let is_late = deadline <= Instant::now();
                    if !is_late && !exchange.is_too_slow() {
                        exchange.set_deadline(deadline);
                        continue;
                    }
                    let problem = match is_late {
                        false => client_too_slow(app),
                        true if exchange.waits_for_client() => client_too_late(app, limit),
                        true => too_late(app, limit),
                    };
                    let generation = exchange.in_flight.number();
                    return Err(problem.taken_by(Taken { generation, times: exchange.answer.times() }));
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
    exchange.in_flight.note_answer();
    let generation = exchange.in_flight.number();
    let (answered, times) = match first {
        Ok(ReplyEvent::Answer(message, times)) => {
            app.metrics().taken(times);
            let read = |generation: &Generation, head: HttpResponse<'_>, body| {
                read(Answered { generation, times }, head, body)
            };
            (read_answer(message, exchange, app.head_limit(), read), times)
        }
        Ok(_) => (Err(AnswerError::NoHead), exchange.answer.times()),
        Err(gone) => (Err(gone.into()), exchange.answer.times()),
    };
    answered.map_err(|error| {
        failed(app, generation, &request.request_id, error).taken_by(Taken { generation, times })
    })
}

/// Sends a request of any method to the generation that serves: the text that `json` writes for the given id. Where
/// none serves, one is started.
pub(crate) async fn send(
    app: &App,
    json: impl Fn(u64) -> Vec<u8>,
    body: Option<Bytes>,
    context: &CallContext,
) -> Result<(InFlight, Answer), Problem> {
    loop {
        if let Some(sent) = send_now(app, &json, body.as_ref(), context) {
            return sent;
        }
        app.wait().await.map_err(|error| unavailable(app, &error))?;
    }
}

/// As [`send`]; `None` where no generation serves.
fn send_now(
    app: &App,
    json: impl Fn(u64) -> Vec<u8>,
    body: Option<&Bytes>,
    context: &CallContext,
) -> Option<Result<(InFlight, Answer), Problem>> {
    let in_flight = app.enter()?;
    if let Some(most) = app.max_concurrency().filter(|most| in_flight.in_flight() > *most) {
        let detail = format!(
            "The app `{}` has reached its limit of {most} concurrent requests (max_concurrency = {most}). Try again \
            later.",
            app.name()
        );
        return Some(Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))));
    }
    match in_flight.call(json, body.cloned().map(buffer::from_bytes), Some(context)) {
        Ok(answer) => Some(Ok((in_flight, answer))),
        Err(CallError::Full(queue)) => {
            let detail = format!(
                "Each worker of the app `{}` has reached its limit of {queue} queued requests (queue = {queue}). Try \
                again later.",
                app.name()
            );
            Some(Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))))
        }
        // Its workers have ended, and the driver knows: it brings the next generation.
        Err(CallError::Closed) => {
            in_flight.retire();
            None
        }
    }
}

/// Until a deadline, in milliseconds.
fn left_ms(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
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

fn read_answer<T>(
    message: Message,
    mut exchange: Exchange,
    head_limit: usize,
    read: impl FnOnce(&Generation, HttpResponse<'_>, ResponseBody) -> T,
) -> Result<T, AnswerError> {
    let Message { json, mut transfer } = message;
    let response = answer::http(&json).inspect_err(|_| exchange.answer.over())?;
    answer::check_head(&response, json.len(), head_limit)?;
    let whole = match response.body {
        Some(protocol::Body::Stream(_)) => {
            let generation = exchange.in_flight.generation();
            let download = Download::new(exchange, &response);
            return Ok(read(&generation, response, ResponseBody::Stream(download)));
        }
        Some(protocol::Body::Websocket(_)) => {
            let generation = exchange.in_flight.generation();
            return Ok(read(&generation, response, ResponseBody::WebSocket(exchange)));
        }
        None => Bytes::new(),
        Some(protocol::Body::Transfer(index)) => {
            Bytes::from_owner(transfer.take(index).ok_or(AnswerError::NoBuffer(index))?)
        }
    };
    exchange.answer.over();
    Ok(read(&exchange.in_flight, response, ResponseBody::Whole(whole)))
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
