//! HTTP/2: streams of requests, each answered as one of HTTP/1 is.

mod answer;
mod held;
mod request;
mod streams;
mod watch;

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

use actix_http::Response;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

use self::held::Held;
use self::streams::{Open, Streams};
use self::watch::{TICK, Verdict, Watch};
use super::current::Current;
use super::limits::{
    HTTP2_CONNECTION_WINDOW, HTTP2_MAX_CANCELLED, HTTP2_MAX_HEADER_LIST, HTTP2_MAX_STREAMS,
    HTTP2_PING_TIMEOUT, HTTP2_STREAM_WINDOW,
};
use super::shared::{Answer, Shared};

/// A stream has no more of an answer than this that is encoded and not written.
const SEND_BUFFER: usize = 64 * 1024;

/// Runs a connection's streams, each in a task.
#[derive(Clone)]
struct Executor {
    current: Rc<Current>,
    streams: Rc<Streams>,
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
        .keep_alive_interval(shared.server.limits.keep_alive)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .max_concurrent_streams(HTTP2_MAX_STREAMS)
        .max_header_list_size(HTTP2_MAX_HEADER_LIST)
        .max_send_buf_size(SEND_BUFFER)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut closing_time = pin!(shared.server.shutdown.closing_time());
    let mut watch = Watch::new(&streams, &held, shared);
    let mut look = pin!(sleep(TICK));
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = held.exceeded() => return,
            () = streams.too_many_cancelled.notified() => return,
            () = closing_time.as_mut(), if !watch.is_last => {
                watch.is_last = true;
                look.as_mut().reset(Instant::now());
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
