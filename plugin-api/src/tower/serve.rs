//! What a service's worker does: messages in, the service called, answers out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::{AbortHandle, JoinSet};

use super::body::Body;
use super::caller::Caller;
use super::header_names::HeaderNames;
use super::lent::Lent;
use super::service::{BoxError, HttpService};
use super::{convert, upgrade};
use crate::abi::call::{Call, CallParts};
use crate::abi::hooks::signals;
use crate::abi::panic::{catch, payload_text};
use crate::abi::port::{Closed, Event, Port};
use crate::abi::{Buffer, Exit, Message};
use crate::http::stream::{Channel, Chunk, Streams, Unsent, send_pieces};
use crate::protocol::{self, HttpRequest, HttpResponse, code};
use crate::worker::host::{Host, Requests};
use crate::worker::work::{MESSAGES_PER_TURN, Work, fail, refuse, result};
use atoll_protocol::Error;

/// How often a worker that is to stop looks whether the tasks of the app have ended.
const NEXT_LOOK: Duration = Duration::from_millis(5);

/// A worker's loop.
pub(super) struct Server<S: HttpService> {
    service: Caller<S>,
    port: Port,
    requests: Arc<Requests>,
    /// The requests that have to be waited for.
    tasks: JoinSet<()>,
    running: HashMap<u64, AbortHandle>,
    /// Which request a task is for.
    numbers: HashMap<tokio::task::Id, u64>,
    streams: Rc<RefCell<Streams>>,
    names: HeaderNames,
    stopping: bool,
    /// Whether the app was notified of the end by a signal, so that its tasks come to theirs.
    is_signalled: bool,
}

/// Own threads of the app's may wait for answers that will not come any more.
impl<S: HttpService> Drop for Server<S> {
    fn drop(&mut self) {
        self.requests.close();
    }
}

impl<S: HttpService> Server<S> {
    pub(super) fn new(service: Caller<S>, port: Port) -> Self {
        Self {
            service,
            requests: Requests::new(port.clone()),
            port,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            numbers: HashMap::new(),
            streams: Rc::default(),
            names: HeaderNames::default(),
            stopping: false,
            is_signalled: false,
        }
    }

    pub(super) async fn run(mut self) -> Exit {
        let doorbell = match doorbell(&self.port) {
            Ok(doorbell) => doorbell,
            Err(error) => {
                log::error!("the worker cannot wait for its port: {error}");
                return Exit::Returned;
            }
        };
        loop {
            if self.receive().is_err() {
                break;
            }
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.ended(ended);
            }
            for work in self.requests.new_background() {
                self.tasks.spawn_local(Scoped { host: self.requests.host(None), work });
            }
            let is_idle = self.stopping && self.tasks.is_empty();
            if is_idle && !(self.is_signalled && has_tasks()) {
                break;
            }
            if !self.port.sleep() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = rings(&doorbell) => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                // Nobody reports the end of the app's own tasks.
                () = tokio::time::sleep(NEXT_LOOK), if is_idle => {}
            }
        }
        self.tasks.shutdown().await;
        Exit::Stopped
    }

    /// Takes what has come, up to a number of messages; an error: the port is closed.
    fn receive(&mut self) -> Result<(), ()> {
        for _ in 0..MESSAGES_PER_TURN {
            match self.port.receive(Some(Duration::ZERO)) {
                Event::Message(message) => self.message(message),
                Event::Woken => {}
                Event::TimedOut => return Ok(()),
                Event::Closed => return Err(()),
            }
        }
        Ok(())
    }

    fn message(&mut self, message: Message) {
        match Work::of(message, &self.requests, &self.streams) {
            Some(Work::Http(id, call)) => self.http(id, call),
            Some(Work::Method(id, call)) => {
                let unknown = format!("unknown method {}", call.method());
                unless_closed(fail(&self.port, id, code::METHOD_NOT_FOUND, unknown));
            }
            Some(Work::Save(id)) => unless_closed(result(&self.port, id, ())),
            Some(Work::Cancel(id)) => {
                if let Some(abort) = self.running.get(&id) {
                    abort.abort();
                }
            }
            Some(Work::Stop) => {
                self.stopping = true;
                self.is_signalled = signals::deliver_stop();
            }
            None => {}
        }
    }

    fn http(&mut self, id: u64, call: Call) {
        let host = self.requests.host(Some(id));
        let mut exchange =
            Exchange { id, port: self.port.clone(), streams: self.streams.clone(), lent: None };
        let request = match request(call, &mut exchange, &mut self.names, host.clone()) {
            Ok(request) => request,
            Err(error) => {
                self.finish(id);
                return unless_closed(refuse(&self.port, id, error));
            }
        };
        let mut work = Scoped { host, work: Box::pin(exchange.carry_out(self.service.clone(), request)) };
        // Most have nothing to wait for, and need no task. The waker does not matter: a task polls again at once, with
        // one of its own.
        let polled = catch(|| Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop())));
        match polled {
            Ok(Poll::Pending) => {
                let abort = self.tasks.spawn_local(work);
                self.numbers.insert(abort.id(), id);
                self.running.insert(id, abort);
            }
            Ok(Poll::Ready(())) => self.finish(id),
            Err(panic) => {
                // What a second panic says is reported by the hook.
                let _ = catch(|| drop(work));
                self.finish(id);
                unless_closed(fail(&self.port, id, code::HANDLER_PANICKED, panic));
            }
        }
    }

    /// Ends what is open for a request that is answered.
    fn finish(&self, id: u64) {
        self.streams.borrow_mut().close(id, "the request is finished");
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let task = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(task, _)| *task);
        // That of no request: the hook has reported its panic.
        let Some(id) = self.numbers.remove(&task) else { return };
        self.running.remove(&id);
        self.finish(id);
        match ended {
            Ok(_) => {}
            Err(error) if error.is_cancelled() => {
                unless_closed(fail(&self.port, id, code::CANCELLED, "the request was cancelled"));
            }
            Err(error) => {
                let text = error
                    .try_into_panic()
                    .map_or_else(|error| error.to_string(), |panic| payload_text(&*panic).to_owned());
                unless_closed(fail(&self.port, id, code::HANDLER_PANICKED, text));
            }
        }
    }
}

/// Whether the app has spawned tasks that have not ended.
fn has_tasks() -> bool {
    tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0
}

/// Whether a client requests a protocol upgrade.
fn is_upgrade(request: &Request<Body>) -> bool {
    request.headers().contains_key(http::header::UPGRADE)
}

fn request(
    call: Call,
    exchange: &mut Exchange,
    names: &mut HeaderNames,
    host: Host,
) -> Result<Request<Body>, Error> {
    let CallParts { json, index, params, mut transfer } = call.into_parts();
    let bad = |error: &dyn std::fmt::Display| Error::bad_request(error.to_string());
    let json = Bytes::from_owner(json);
    let text = std::str::from_utf8(json.get(params).unwrap_or_default()).map_err(|error| bad(&error))?;
    let head = HttpRequest::parse(text, &index).map_err(|error| bad(&error))?;
    let body = match head.body {
        None => Body::default(),
        Some(protocol::Body::Transfer(index)) => {
            Body::whole(exchange.lent().lend(transfer.take(index).unwrap_or_default()))
        }
        Some(protocol::Body::Stream(_) | protocol::Body::Websocket(_)) => {
            Body::stream(exchange.channel(), exchange.lent().clone())
        }
    };
    convert::request(&head, &json, names, body, host)
}

/// One request and its answer.
pub(super) struct Exchange {
    id: u64,
    port: Port,
    streams: Rc<RefCell<Streams>>,
    /// What the service has of the request's body.
    lent: Option<Arc<Lent>>,
}

impl Exchange {
    async fn carry_out<S: HttpService>(self, service: Caller<S>, request: Request<Body>) {
        if is_upgrade(&request) {
            return upgrade::carry_out(self, service, request).await;
        }
        match service.answer(request).await {
            Ok(response) => self.respond(response).await,
            Err(error) => self.refuse(error),
        }
    }

    fn lent(&mut self) -> &Arc<Lent> {
        self.lent.get_or_insert_default()
    }

    /// Its streams, which few requests have.
    pub(super) fn channel(&self) -> Arc<Channel> {
        self.streams.borrow_mut().open(self.id, &self.port)
    }

    pub(super) fn refuse(&self, error: BoxError) {
        unless_closed(refuse(&self.port, self.id, Error::internal(error)));
    }

    /// Sends a response, its body as it comes.
    pub(super) async fn respond<B>(&self, response: Response<B>)
    where
        B: http_body::Body<Error: Into<BoxError>>,
    {
        let (head, body) = response.into_parts();
        let mut body = pin!(body);
        // A body that is there already, and is one piece, goes along with the answer.
        let first = poll_fn(|context| body.as_mut().poll_frame(context)).now_or_never();
        let (mut begun, mut trailers) = (None, None);
        match first {
            Some(None) => return self.head(&head, None, None),
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    let piece = convert::piece(data, self.lent.as_deref());
                    let buffer = Chunk::from(piece).into_buffer(&self.port);
                    if body.is_end_stream() {
                        let whole = buffer.is_some().then_some(protocol::Body::Transfer(0));
                        return self.head(&head, whole, buffer);
                    }
                    begun = buffer;
                }
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Some(Some(Err(error))) => return self.refuse(error.into()),
            None => {}
        }
        let channel = self.channel();
        self.head(&head, Some(protocol::Body::STREAM), None);
        if let Some(buffer) = begun {
            channel.send_chunk(buffer);
        }
        let sent = match trailers {
            Some(trailers) => Ok(trailers),
            None => send_rest(&channel, body, self.lent.as_deref()).await,
        };
        match sent {
            Ok(trailers) => channel.send_trailers(convert::headers(&trailers)),
            Err(error) => {
                log::error!("incomplete response: {error}");
                channel.send_error(&error.to_string());
            }
        }
    }

    /// Sends the head of an answer.
    pub(super) fn head(
        &self,
        head: &http::response::Parts,
        body: Option<protocol::Body>,
        buffer: Option<Buffer>,
    ) {
        let response =
            HttpResponse { status: head.status.as_u16(), headers: convert::headers(&head.headers), body };
        // A port that is closed has ended the request as well.
        let _ = self.port.send_with(response.message(self.id), buffer);
    }
}

/// Sends the body as it comes, up to its trailers.
async fn send_rest<B>(
    channel: &Channel,
    mut body: Pin<&mut B>,
    lent: Option<&Lent>,
) -> Result<HeaderMap, BoxError>
where
    B: http_body::Body<Error: Into<BoxError>>,
{
    let mut trailers = HeaderMap::new();
    let next = |context: &mut Context<'_>| {
        let Some(frame) = ready!(body.as_mut().poll_frame(context)) else { return Poll::Ready(None) };
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => Poll::Ready(Some(Ok(convert::piece(data, lent)))),
            Err(error) => Poll::Ready(Some(Err(error))),
            // They are the last frame.
            Ok(Err(frame)) => {
                trailers = frame.into_trailers().unwrap_or_default();
                Poll::Ready(None)
            }
        }
    };
    send_pieces(channel, next).await.map_err(|unsent| match unsent {
        Unsent::Over(error) => error.message().into(),
        Unsent::Failed(error) => error.into(),
    })?;
    Ok(trailers)
}

/// Waits until the client has taken enough.
pub(super) async fn ready_to_send(channel: &Channel) -> Result<(), BoxError> {
    channel.ready().await.map_err(|error| error.message().into())
}

/// A port that is closed has ended its requests as well.
fn unless_closed(sent: Result<(), Closed>) {
    let _ = sent;
}

/// The port's doorbell in the runtime's driver. The descriptor is a copy, so that the driver has one to close.
fn doorbell(port: &Port) -> std::io::Result<AsyncFd<OwnedFd>> {
    let copy = port.doorbell()?.as_fd().try_clone_to_owned()?;
    // SAFETY: an owned descriptor stays the same until it is dropped, which the result does.
    Ok(unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) }?)
}

/// Waits until the doorbell rings. It is not read: the driver is notified each time that it rings, and its counter
/// cannot overflow.
async fn rings(doorbell: &AsyncFd<OwnedFd>) {
    // The driver fails only when the runtime ends.
    if let Ok(mut ready) = doorbell.readable().await {
        ready.clear_ready();
    }
}

/// Polls with a host as the current one.
struct Scoped<W: ?Sized> {
    host: Host,
    work: Pin<Box<W>>,
}

impl<W: Future + ?Sized> Future for Scoped<W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = &mut *self;
        this.host.scope(|| this.work.as_mut().poll(context))
    }
}
