//! HTTP/2: streams of requests, each answered as one of HTTP/1 is.

mod answer;
mod held;
mod request;

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use actix_http::Response;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use self::held::Held;
use super::current::Current;
use super::limits::{
    HTTP2_CLOSE_TIMEOUT, HTTP2_CONNECTION_WINDOW, HTTP2_MAX_CANCELLED, HTTP2_MAX_HEADER_LIST,
    HTTP2_MAX_STREAMS, HTTP2_PING_TIMEOUT, HTTP2_STREAM_WINDOW,
};
use super::shared::{Answer, Shared};
use super::shutdown::Shutdown;
use crate::http::server_limits::ServerLimits;

/// How often a connection is looked at, at least.
const TICK: Duration = Duration::from_secs(1);

/// A stream has no more of an answer than this that is encoded and not written.
const SEND_BUFFER: usize = 64 * 1024;

/// So many requests a client may cancel in each second without being counted.
const CANCELLED_EACH_TICK: u32 = 100;

/// What is open on a connection.
struct Streams {
    open: Cell<u32>,
    /// When the last one ended.
    used: Cell<Instant>,
    /// How many requests were cancelled of late.
    cancelled: Cell<u32>,
    /// They are too many.
    too_many_cancelled: Notify,
    has_served: Cell<bool>,
}

impl Streams {
    fn new() -> Self {
        Self {
            open: Cell::new(0),
            used: Cell::new(Instant::now()),
            cancelled: Cell::new(0),
            too_many_cancelled: Notify::new(),
            has_served: Cell::new(false),
        }
    }
}

/// Runs a connection's streams, each in a task.
#[derive(Clone)]
struct Executor {
    current: Rc<Current>,
    streams: Rc<Streams>,
}

/// A stream that is open.
struct Open(Rc<Streams>);

impl Open {
    fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        streams.has_served.set(true);
        Self(streams.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.used.set(Instant::now());
    }
}

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, stream: F) {
        let open = Open::new(&self.streams);
        let stream = self.current.clone().scope(stream);
        actix_web::rt::spawn(async move {
            stream.await;
            drop(open);
        });
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<T, S>(stream: T, shared: &Rc<Shared<S>>, current: Rc<Current>)
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Answer,
{
    let streams = Rc::new(Streams::new());
    let held = Rc::new(Held::new(&shared.unsent));
    let service = {
        let (service, streams, held, current) =
            (shared.service.clone(), streams.clone(), held.clone(), current.clone());
        service_fn(move |request| {
            let (service, held, address) = (service.clone(), held.clone(), current.address());
            let cancelled = Cancelled(Some(streams.clone()));
            async move {
                let head = held.admit(request::size(&request)).await;
                let is_head = request.method() == http::Method::HEAD;
                let answered = service.call(request::convert(request, address)).await;
                let response: Response<_> = match answered {
                    Ok(response) => response.into(),
                    Err(error) => error.error_response().into(),
                };
                drop(head);
                cancelled.disarm();
                Ok::<_, Infallible>(answer::convert(response, is_head, &held))
            }
        })
    };
    let executor = Executor { current, streams: streams.clone() };
    let connection = Builder::new(executor)
        .timer(TokioTimer::new())
        // Only where nothing comes from the client for so long.
        .keep_alive_interval(shared.limits.keep_alive)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .max_concurrent_streams(HTTP2_MAX_STREAMS)
        .max_header_list_size(HTTP2_MAX_HEADER_LIST)
        .max_send_buf_size(SEND_BUFFER)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut closing_time = pin!(shared.shutdown.closing_time());
    let mut watch = Watch::new(&streams, &held, shared);
    let mut look = pin!(sleep(TICK));
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = held.exceeded() => return,
            () = streams.too_many_cancelled.notified() => return,
            () = closing_time.as_mut(), if !watch.is_closing => {
                watch.is_closing = true;
                streams.used.set(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => {
                let now = Instant::now();
                match watch.look(now) {
                    Verdict::Go => {}
                    Verdict::Close => connection.as_mut().graceful_shutdown(),
                    Verdict::Abort => return,
                }
                look.as_mut().reset(now + watch.left(now).min(TICK));
            }
        }
    }
}

/// Counts a request as cancelled, unless it was answered before.
struct Cancelled(Option<Rc<Streams>>);

impl Cancelled {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        let Some(streams) = self.0.take() else { return };
        streams.cancelled.set(streams.cancelled.get() + 1);
        if streams.cancelled.get() > HTTP2_MAX_CANCELLED {
            streams.too_many_cancelled.notify_one();
        }
    }
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    /// It takes no more requests.
    Close,
    Abort,
}

/// Whether a connection is still of use.
struct Watch<'a> {
    streams: &'a Streams,
    held: &'a Held,
    limits: &'a ServerLimits,
    shutdown: &'a Shutdown,
    is_closing: bool,
}

impl<'a> Watch<'a> {
    fn new<S>(streams: &'a Streams, held: &'a Held, shared: &'a Shared<S>) -> Self {
        Self { streams, held, limits: &shared.limits, shutdown: &shared.shutdown, is_closing: false }
    }

    fn look(&mut self, now: Instant) -> Verdict {
        self.streams.cancelled.set(self.streams.cancelled.get().saturating_sub(CANCELLED_EACH_TICK));
        if self.held.stalled(now) >= self.limits.write_timeout {
            return Verdict::Abort;
        }
        let (used, has_served) = (self.streams.used.get(), self.streams.has_served.get());
        // As each answer of HTTP/1 then closes its connection.
        if !self.is_closing && has_served && self.shutdown.was_announced_before(used) {
            return self.close(now);
        }
        if self.streams.open.get() > 0 {
            return Verdict::Go;
        }
        match now.saturating_duration_since(used) < self.idle_limit() {
            true => Verdict::Go,
            false if self.is_closing => Verdict::Abort,
            false => self.close(now),
        }
    }

    /// How long it may stay without a request.
    fn idle_limit(&self) -> Duration {
        match (self.is_closing, self.streams.has_served.get()) {
            (true, _) => HTTP2_CLOSE_TIMEOUT,
            (false, true) => self.limits.keep_alive,
            (false, false) => self.limits.header_timeout,
        }
    }

    /// How long it may stay as it is.
    fn left(&self, now: Instant) -> Duration {
        let stalled = self.limits.write_timeout.saturating_sub(self.held.stalled(now));
        let idle = now.saturating_duration_since(self.streams.used.get());
        let idle = if self.streams.open.get() > 0 { Duration::ZERO } else { idle };
        stalled.min(self.idle_limit().saturating_sub(idle)).max(Duration::from_millis(1))
    }

    fn close(&mut self, now: Instant) -> Verdict {
        self.is_closing = true;
        self.streams.used.set(now);
        Verdict::Close
    }
}
