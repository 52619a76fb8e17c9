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
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::held::Held;
use super::current::Current;
use super::limits::{
    HEAD_TIMEOUT, HTTP2_CONNECTION_WINDOW, HTTP2_IDLE_TIMEOUT, HTTP2_MAX_CANCELLED, HTTP2_MAX_HEADER_LIST,
    HTTP2_MAX_STREAMS, HTTP2_STREAM_WINDOW, WRITE_TIMEOUT,
};
use super::shared::{Answer, Shared};

/// How often a connection is looked at.
const TICK: Duration = Duration::from_secs(1);

/// A stream has no more of an answer than this that is encoded and not written.
const SEND_BUFFER: usize = 64 * 1024;

/// So many requests a client may cancel in each second without being counted.
const CANCELLED_EACH_TICK: u32 = 100;

/// What is open on a connection.
#[derive(Default)]
struct Streams {
    open: Cell<u32>,
    /// How many requests were cancelled of late.
    cancelled: Cell<u32>,
    /// They are too many.
    too_many_cancelled: Notify,
    has_served: Cell<bool>,
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
    let streams = Rc::<Streams>::default();
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
        .max_concurrent_streams(HTTP2_MAX_STREAMS)
        .max_header_list_size(HTTP2_MAX_HEADER_LIST)
        .max_send_buf_size(SEND_BUFFER)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut shutdown = pin!(shared.shutdown.begun());
    let mut watch = Watch::new(&streams, &held);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = held.exceeded() => return,
            () = streams.too_many_cancelled.notified() => return,
            () = shutdown.as_mut(), if !watch.is_closing => {
                watch.is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => match watch.look() {
                Verdict::Go => {}
                Verdict::Close => connection.as_mut().graceful_shutdown(),
                Verdict::Abort => return,
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
    /// When it was last seen with a request.
    used: Instant,
    /// When the client was last seen to take something of what there is for it.
    taken: Instant,
    progress: u64,
    is_closing: bool,
}

impl<'a> Watch<'a> {
    fn new(streams: &'a Streams, held: &'a Held) -> Self {
        let now = Instant::now();
        Self { streams, held, used: now, taken: now, progress: 0, is_closing: false }
    }

    fn look(&mut self) -> Verdict {
        let now = Instant::now();
        self.streams.cancelled.set(self.streams.cancelled.get().saturating_sub(CANCELLED_EACH_TICK));
        if self.streams.open.get() > 0 {
            self.used = now;
        }
        if self.held.is_empty() || self.held.progress() != self.progress {
            (self.taken, self.progress) = (now, self.held.progress());
        }
        if now - self.taken > WRITE_TIMEOUT {
            return Verdict::Abort;
        }
        let idle = now - self.used;
        if self.is_closing {
            // The client need not answer.
            return if idle > HEAD_TIMEOUT { Verdict::Abort } else { Verdict::Go };
        }
        let limit = if self.streams.has_served.get() { HTTP2_IDLE_TIMEOUT } else { HEAD_TIMEOUT };
        if idle > limit {
            self.is_closing = true;
            self.used = now;
            return Verdict::Close;
        }
        Verdict::Go
    }
}
