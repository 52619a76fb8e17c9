//! What is noted of a request: in its app's counts and journal, and in the access log.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::peer::Peer;
use super::trace;
use crate::app::App;
use crate::exchange::Answered;
use crate::journal::{FailureEntry, now_ms};
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::times::Times;

/// What the access log is written with, so that `RUST_LOG=access=off` leaves it out.
const ACCESS: &str = "access";

/// One request, as far as it has come.
pub(super) struct Record {
    begun: Instant,
    app: Option<Arc<App>>,
    generation: u64,
    times: Times,
}

impl Record {
    /// That of a request which has just been read.
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), app: None, generation: 0, times: Times::default() }
    }

    /// Notes which app it is for.
    pub(super) fn is_for(&mut self, app: Arc<App>) {
        self.app = Some(app);
    }

    /// Notes who has answered it.
    pub(super) fn answered(&mut self, answered: Answered<'_>) {
        self.generation = answered.generation.number();
        self.times = answered.times;
    }

    /// Notes that it could not be answered.
    pub(super) fn failed(&self, request: &HttpRequest, request_id: &str, problem: &Problem) {
        let status = problem.kind().status();
        if let Some(app) = self.app.as_ref().filter(|_| status >= 500) {
            app.journal().failed(FailureEntry {
                at_ms: now_ms(),
                request_id: request_id.to_owned(),
                request: format!("{} {}", request.method(), request.uri().path()),
                status,
                detail: problem.reason(),
            });
        }
    }

    /// Counts the answer, and writes the access log if there is one: a body that is a stream is followed to its end.
    pub(super) fn finish(
        self,
        request: &HttpRequest,
        request_id: &str,
        response: HttpResponse,
        with_access_log: bool,
    ) -> HttpResponse {
        let status = response.status().as_u16();
        let took = self.begun.elapsed();
        if let Some(app) = &self.app {
            app.metrics().answered(status, took);
        }
        let line = with_access_log.then(|| Line::of(&self, request, request_id, status));
        match response.body().size() {
            BodySize::Stream => {
                let metrics = self.app.map(|app| app.metrics().clone());
                let begun = self.begun;
                response.map_body(|_, body| BoxBody::new(Followed { body, bytes: 0, begun, metrics, line }))
            }
            size => {
                let sent = match size {
                    BodySize::Sized(bytes) if request.method() != Method::HEAD => bytes,
                    _ => 0,
                };
                if let Some(app) = &self.app {
                    app.metrics().sent.add(sent);
                }
                line.iter().for_each(|line| line.write(sent, took));
                response
            }
        }
    }
}

/// A line of the access log.
struct Line {
    request: String,
    peer: String,
    request_id: String,
    trace_id: String,
    app: String,
    generation: u64,
    status: u16,
    times: Times,
}

impl Line {
    fn of(record: &Record, request: &HttpRequest, request_id: &str, status: u16) -> Self {
        let traceparent = trace::traceparent(request.headers());
        Self {
            request: format!("{} {}", request.method(), request.uri()),
            peer: Peer::of(request).map_or_else(String::new, |peer| peer.text().to_owned()),
            request_id: request_id.to_owned(),
            trace_id: traceparent
                .and_then(|text| text.split('-').nth(1).map(str::to_owned))
                .unwrap_or_default(),
            app: record.app.as_ref().map_or_else(String::new, |app| app.name().to_string()),
            generation: record.generation,
            status,
            times: record.times,
        }
    }

    fn write(&self, bytes: u64, took: Duration) {
        let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        log::info!(
            target: ACCESS,
            app = self.app.as_str(),
            generation = self.generation,
            status = self.status,
            bytes = bytes,
            total_ms = millis(took),
            queue_ms = millis(self.times.queue),
            handler_ms = millis(self.times.handler),
            peer = self.peer.as_str(),
            request_id = self.request_id.as_str(),
            trace_id = self.trace_id.as_str();
            "{}", self.request
        );
    }
}

/// A body whose bytes are counted, and whose end is noted.
struct Followed {
    body: BoxBody,
    bytes: u64,
    begun: Instant,
    metrics: Option<Arc<Metrics>>,
    line: Option<Line>,
}

impl MessageBody for Followed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let chunk = ready!(Pin::new(&mut this.body).poll_next(context));
        if let Some(Ok(bytes)) = &chunk {
            this.bytes += bytes.len() as u64;
            if let Some(metrics) = &this.metrics {
                metrics.sent.add(bytes.len() as u64);
            }
        }
        Poll::Ready(chunk)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.write(self.bytes, self.begun.elapsed());
        }
    }
}
