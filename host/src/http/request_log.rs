//! What is noted of a request: in its app's counts and app log, in the access log, and in its trace.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use atoll_port::HostNote;
use log::kv::Value;
use log::{Level, Record};

use super::connection::Current;
use super::forwarded::scheme;
use super::trace;
use crate::app::handle::App;
use crate::dispatch::exchange::Answered;
use crate::dispatch::problem::Problem;
use crate::observe::entries::FailureEntry;
use crate::observe::metrics::Metrics;
use crate::observe::timing::{RequestTiming, Taken};
use crate::observe::trace::{AttributeValue, SpanKind, SpanSink, Step, TraceContext};
use crate::observe::unix_time::now_ms;

/// What the access log is written with, so that `RUST_LOG=access=off` leaves it out.
const ACCESS: &str = "access";

/// One request, as far as it has come.
pub(super) struct RequestLog {
    begun: Instant,
    app: Option<Arc<App>>,
    /// Of a request to an app on other hosts.
    host: Option<HostNote>,
    generation: u64,
    times: RequestTiming,
    step: Option<Step>,
}

impl RequestLog {
    /// That of a request which has just been read.
    pub(super) fn begin() -> Self {
        Self {
            begun: Instant::now(),
            app: None,
            host: None,
            generation: 0,
            times: RequestTiming::default(),
            step: None,
        }
    }

    /// Starts the host's span in the trace of the client, or in a new trace if spans are enabled; returns the context
    /// for the app.
    pub(super) fn trace(&mut self, client: Option<TraceContext>) -> Option<TraceContext> {
        let sink = self.app.as_ref().and_then(|app| app.spans());
        self.step = client.map(Step::of_client).or_else(|| sink.map(|sink| Step::first(&**sink)));
        self.step.as_ref().map(Step::context)
    }

    /// Notes which app it is for.
    pub(super) fn set_app(&mut self, app: Arc<App>) {
        self.app = Some(app);
    }

    /// Which app it is for, as far as that is known.
    pub(super) fn app(&self) -> Option<&Arc<App>> {
        self.app.as_ref()
    }

    /// Where it is noted which host has it, if its app is on other hosts.
    pub(super) fn host_note(&mut self) -> Option<HostNote> {
        if self.app.as_ref().is_some_and(|app| app.is_elsewhere()) {
            self.host.get_or_insert_default();
        }
        self.host.clone()
    }

    /// What runs the app's code for it.
    fn place(&self) -> Place {
        match &self.host {
            Some(host) => Place::Host(host.get().unwrap_or_default()),
            None => Place::Generation(self.generation),
        }
    }

    /// Notes who has answered it.
    pub(super) fn answered(&mut self, answered: Answered<'_>) {
        self.answered_by(Taken { generation: answered.generation.number(), times: answered.times });
    }

    /// Notes who has answered it, or had it when it ended otherwise.
    pub(super) fn answered_by(&mut self, Taken { generation, times }: Taken) {
        (self.generation, self.times) = (generation, times);
        if let Some(step) = &mut self.step {
            step.answered(times);
        }
    }

    /// Notes that it could not be answered.
    pub(super) fn failed(&mut self, request: &HttpRequest, request_id: &str, problem: &Problem) {
        if let Some(taken) = problem.taken() {
            self.answered_by(taken);
        }
        let status = problem.kind().status();
        if let Some(app) = self.app.as_ref().filter(|_| status >= 500) {
            app.app_log().failed(FailureEntry {
                at_ms: now_ms(),
                request_id: request_id.to_owned(),
                request: format!("{} {}", request.method(), request.uri().path()),
                status,
                detail: problem.reason(),
            });
        }
    }

    /// Counts the answer, writes the access log if there is one, and ends the trace's step: a body that is a stream is
    /// followed to its end.
    pub(super) fn finish(
        mut self,
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
        let open = Open {
            line: with_access_log.then(|| Line::new(&self, request, request_id, status)),
            span: OpenSpan::new(&mut self, request, request_id, status),
        };
        match response.body().size() {
            BodySize::Stream => {
                // The messages of a WebSocket are counted where its frames are known.
                let is_websocket = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                let metrics = self.app.filter(|_| !is_websocket).map(|app| app.metrics().clone());
                let begun = self.begun;
                response.map_body(|_, body| BoxBody::new(Followed { body, bytes: 0, begun, metrics, open }))
            }
            size => {
                let sent = match size {
                    BodySize::Sized(bytes) if request.method() != Method::HEAD => bytes,
                    _ => 0,
                };
                if let Some(app) = &self.app {
                    app.metrics().sent.add(sent);
                }
                open.end(sent, took);
                response
            }
        }
    }
}

/// What is written when the answer has been sent.
#[derive(Default)]
struct Open {
    line: Option<Line>,
    span: Option<OpenSpan>,
}

impl Open {
    fn end(self, bytes: u64, took: Duration) {
        if let Some(line) = self.line {
            line.write(bytes, took);
        }
        if let Some(span) = self.span {
            span.end(bytes);
        }
    }
}

/// The span of a request to an app.
struct OpenSpan {
    step: Step,
    sink: Arc<dyn SpanSink>,
    name: String,
    attributes: Vec<(&'static str, AttributeValue)>,
    failed: bool,
}

impl OpenSpan {
    fn new(record: &mut RequestLog, request: &HttpRequest, request_id: &str, status: u16) -> Option<Self> {
        let app = record.app.as_ref()?;
        let sink = app.spans()?.clone();
        let step = record.step.take().filter(|step| step.context().is_sampled())?;
        let mut attributes = vec![
            ("http.request.method", request.method().as_str().into()),
            ("url.path", request.uri().path().into()),
            ("url.scheme", scheme(request).into()),
            ("http.response.status_code", status.into()),
            ("atoll.app", (&**app.name()).into()),
            match record.place() {
                Place::Generation(generation) => ("atoll.generation", generation.into()),
                Place::Host(host) => ("atoll.host", (&*host).into()),
            },
            ("atoll.request_id", request_id.into()),
        ];
        attributes.extend(Current::peer(request).map(|peer| ("client.address", peer.ip_text().into())));
        let name = format!("{} {}", request.method(), app.name());
        Some(Self { step, sink, name, attributes, failed: status >= 500 })
    }

    fn end(mut self, bytes: u64) {
        self.attributes.push(("http.response.body.size", bytes.into()));
        self.step.end(&*self.sink, self.name, SpanKind::Server, self.attributes, self.failed);
    }
}

/// What runs the app's code for a request.
enum Place {
    /// This generation of the app, on this host; 0: none.
    Generation(u64),
    /// Another host, or none if this is empty.
    Host(Arc<str>),
}

/// A line of the access log.
struct Line {
    request: String,
    peer: String,
    request_id: String,
    trace_id: String,
    app: String,
    place: Place,
    status: u16,
    times: RequestTiming,
}

impl Line {
    fn new(record: &RequestLog, request: &HttpRequest, request_id: &str, status: u16) -> Self {
        let trace = record.step.as_ref().map(Step::context).or_else(|| trace::of_client(request.headers()));
        Self {
            request: format!("{} {}", request.method(), request.uri()),
            peer: Current::peer(request).map_or_else(String::new, |peer| peer.text().to_owned()),
            request_id: request_id.to_owned(),
            trace_id: trace.map_or_else(String::new, |context| format!("{:032x}", context.trace_id())),
            app: record.app.as_ref().map_or_else(String::new, |app| app.name().to_string()),
            place: record.place(),
            status,
            times: record.times,
        }
    }

    fn write(&self, bytes: u64, took: Duration) {
        if Level::Info > log::max_level() {
            return;
        }
        let millis = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
        let place = match &self.place {
            Place::Generation(generation) => ("generation", Value::from(*generation)),
            Place::Host(host) => ("host", Value::from(&**host)),
        };
        let pairs = [
            ("app", Value::from(self.app.as_str())),
            place,
            ("status", Value::from(self.status)),
            ("bytes", Value::from(bytes)),
            ("total_ms", Value::from(millis(took))),
            ("queue_ms", Value::from(millis(self.times.queue))),
            ("handler_ms", Value::from(millis(self.times.handler))),
            ("peer", Value::from(self.peer.as_str())),
            ("request_id", Value::from(self.request_id.as_str())),
            ("trace_id", Value::from(self.trace_id.as_str())),
        ];
        log::logger().log(
            &Record::builder()
                .level(Level::Info)
                .target(ACCESS)
                .module_path(Some(module_path!()))
                .key_values(&pairs)
                .args(format_args!("{}", self.request))
                .build(),
        );
    }
}

/// A body whose bytes are counted, and whose end is noted.
struct Followed {
    body: BoxBody,
    bytes: u64,
    begun: Instant,
    metrics: Option<Arc<Metrics>>,
    open: Open,
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
        let open = std::mem::take(&mut self.open);
        open.end(self.bytes, self.begun.elapsed());
    }
}
