//! What a worker does: messages in, handlers run, answers out.
//!
//! One thread serves many requests at once: handlers that are futures are polled when they are woken, between
//! messages, as on an isolate's event loop.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{AbortHandle, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::value::RawValue;

use crate::abi::call::Call;
use crate::abi::hooks::signals;
use crate::abi::panic::catch;
use crate::abi::port::{Closed, Event, Port};
use crate::abi::{Exit, Message};
use crate::http::body::{ChunkStream, Content};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::stream::{BodyStream, Channel, Streams, Unsent, send_pieces};
use crate::http::ws::WebSocket;
use crate::protocol::{self, HttpResponse, Start, code};
use crate::worker::application::{Application, Handled};
use crate::worker::host::{Host, Requests};
use crate::worker::rpc::{RpcError, RpcStep};
use crate::worker::task::{Outcome, Task};
use crate::worker::work::{MESSAGES_PER_TURN, Work, fail, refuse, result};
use atoll_protocol::Error;

/// The number of the task of no request.
const NO_REQUEST: u64 = 0;

/// What comes of a task.
enum Done {
    /// A handler's answer.
    Http(Result<Response, Error>),
    /// A method's answer.
    Rpc(Result<Box<RawValue>, RpcError>),
    /// The answer was given before, and what it announced has been sent.
    Streamed,
}

/// Serves an application until it receives `stop` or the port is closed.
pub(crate) fn run(application: Application, start: &Start, port: Port) -> Exit {
    let waker = port.waker();
    let event_loop = EventLoop {
        application: Rc::new(application),
        body_limit: start.body_limit,
        requests: Requests::new(port.clone()),
        port,
        tasks: FuturesUnordered::new(),
        running: HashMap::new(),
        background: FuturesUnordered::new(),
        streams: RefCell::default(),
        waker,
        stopping: false,
    };
    event_loop.run()
}

struct EventLoop {
    application: Rc<Application>,
    body_limit: u64,
    requests: Arc<Requests>,
    port: Port,
    tasks: FuturesUnordered<Task<Done>>,
    running: HashMap<u64, AbortHandle>,
    /// What belongs to no request.
    background: FuturesUnordered<Task<()>>,
    streams: RefCell<Streams>,
    waker: Waker,
    stopping: bool,
}

/// Own threads of the app's may wait for answers that will not come any more.
impl Drop for EventLoop {
    fn drop(&mut self) {
        self.requests.close();
    }
}

impl EventLoop {
    fn run(mut self) -> Exit {
        while !(self.stopping && self.tasks.is_empty() && self.background.is_empty()) {
            if self.turn().is_err() {
                break;
            }
        }
        Exit::Stopped
    }

    /// Waits for something to do, then does all that there is.
    fn turn(&mut self) -> Result<(), Closed> {
        let mut event = self.port.receive(None);
        for _ in 0..MESSAGES_PER_TURN {
            match event {
                Event::Message(message) => self.message(message)?,
                Event::Woken => {}
                Event::TimedOut => break,
                Event::Closed => return Err(Closed),
            }
            event = self.port.receive(Some(Duration::ZERO));
        }
        if let Event::Message(message) = event {
            self.message(message)?;
        }
        self.poll_tasks()
    }

    fn message(&mut self, message: Message) -> Result<(), Closed> {
        match Work::of(message, &self.requests, &self.streams) {
            Some(Work::Http(id, call)) => self.http(id, call),
            Some(Work::Method(id, call)) => self.rpc(id, &call),
            Some(Work::Save(id)) => self.save(id),
            Some(Work::Cancel(id)) => {
                if let Some(abort) = self.running.get(&id) {
                    abort.abort();
                }
                Ok(())
            }
            Some(Work::Stop) => {
                self.stop();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        signals::deliver_stop();
        let application = self.application.clone();
        self.spawn_background(async move { application.stop().await }.boxed_local());
    }

    fn spawn_background(&mut self, work: LocalBoxFuture<'static, ()>) {
        let (task, _) = Task::new(NO_REQUEST, Some(self.requests.host(None)), work);
        self.background.push(task);
    }

    fn http(&mut self, id: u64, call: Call) -> Result<(), Closed> {
        let request = match Request::parse(call.into_parts()) {
            Ok(request) => request,
            Err(error) => return fail(&self.port, id, code::INVALID_PARAMS, error.to_string()),
        };
        let host = self.requests.host(Some(id));
        if request.is_streamed() {
            let stream = BodyStream::of_channel(self.streams.borrow_mut().open(id, &self.port));
            if !self.application.streams(&request) {
                let work = whole(self.application.clone(), request, stream, self.body_limit);
                self.spawn(id, host, work.boxed_local());
                return Ok(());
            }
            request.set_stream(stream);
        } else if request.body().len() as u64 > self.body_limit && !self.application.streams(&request) {
            return self.done(id, Outcome::Returned(too_large(self.body_limit)));
        }
        match catch(|| host.scope(|| self.application.handle(request))) {
            Ok(Handled::Ready(answer)) => self.done(id, Outcome::Returned(Done::Http(answer))),
            Ok(Handled::Pending(work)) => {
                self.spawn(id, host, work.map(Done::Http).boxed_local());
                Ok(())
            }
            Err(panic) => self.done(id, Outcome::Panicked(panic)),
        }
    }

    fn rpc(&mut self, id: u64, call: &Call) -> Result<(), Closed> {
        let host = self.requests.host(Some(id));
        match catch(|| host.scope(|| self.application.methods.call(call.method(), call.raw_params()))) {
            Ok(RpcStep::Done(result)) => self.done(id, Outcome::Returned(Done::Rpc(result))),
            Ok(RpcStep::Waiting(work)) => {
                self.spawn(id, host, work.map(Done::Rpc).boxed_local());
                Ok(())
            }
            Err(panic) => self.done(id, Outcome::Panicked(panic)),
        }
    }

    fn spawn(&mut self, id: u64, host: Host, work: LocalBoxFuture<'static, Done>) {
        let (task, abort) = Task::new(id, Some(host), work);
        self.running.insert(id, abort);
        self.tasks.push(task);
    }

    fn poll_tasks(&mut self) -> Result<(), Closed> {
        for work in self.requests.new_background() {
            self.spawn_background(work);
        }
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        while let Poll::Ready(Some((id, outcome))) = self.tasks.poll_next_unpin(&mut context) {
            self.running.remove(&id);
            self.done(id, outcome)?;
        }
        // The hook has reported those that panicked.
        while let Poll::Ready(Some(_ended)) = self.background.poll_next_unpin(&mut context) {}
        Ok(())
    }

    /// Sends the response to a request, or starts the stream that it announces.
    fn done(&mut self, id: u64, outcome: Outcome<Done>) -> Result<(), Closed> {
        let sent = match outcome {
            Outcome::Returned(Done::Http(Ok(response))) => return self.respond(id, response),
            Outcome::Returned(Done::Http(Err(error))) => refuse(&self.port, id, error),
            Outcome::Returned(Done::Rpc(Ok(value))) => result(&self.port, id, value),
            Outcome::Returned(Done::Rpc(Err(error))) => refuse(&self.port, id, error),
            Outcome::Returned(Done::Streamed) => Ok(()),
            Outcome::Panicked(text) => fail(&self.port, id, code::HANDLER_PANICKED, text),
            Outcome::Cancelled => fail(&self.port, id, code::CANCELLED, "the request was cancelled"),
        };
        self.streams.borrow_mut().close(id, "the request is finished");
        sent
    }

    fn respond(&mut self, id: u64, response: Response) -> Result<(), Closed> {
        let (status, headers, content) = response.into_parts();
        let (body, buffer, work) = match content {
            Content::Whole(payload) => {
                let buffer = payload.into_buffer(&self.port);
                (buffer.is_some().then_some(protocol::Body::Transfer(0)), buffer, None)
            }
            Content::Stream(chunks) => {
                let channel = self.streams.borrow_mut().open(id, &self.port);
                (Some(protocol::Body::STREAM), None, Some(send(chunks, channel).boxed_local()))
            }
            Content::WebSocket(serve) => {
                let socket = WebSocket::new(self.streams.borrow_mut().open(id, &self.port));
                (Some(protocol::Body::WEBSOCKET), None, Some(serve(socket)))
            }
        };
        self.port.send_with(HttpResponse { status, headers, body }.message(id), buffer)?;
        match work {
            Some(work) => {
                self.spawn(id, self.requests.host(Some(id)), work.map(|()| Done::Streamed).boxed_local());
            }
            None => self.streams.borrow_mut().close(id, "the request is finished"),
        }
        Ok(())
    }

    fn save(&self, id: u64) -> Result<(), Closed> {
        match catch(|| self.application.save()) {
            Ok(Ok(state)) => result(&self.port, id, state),
            Ok(Err(error)) => refuse(&self.port, id, error),
            Err(panic) => fail(&self.port, id, code::HANDLER_PANICKED, panic),
        }
    }
}

fn too_large(limit: u64) -> Done {
    Done::Rpc(Err(RpcError::new(
        code::BODY_TOO_LARGE,
        format!("the body is larger than body_limit = {limit} bytes"),
    )))
}

/// Waits for the whole body, for handlers that want it so, and calls them.
async fn whole(application: Rc<Application>, mut request: Request, body: BodyStream, limit: u64) -> Done {
    let declared = request.header("content-length").and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit) {
        return too_large(limit);
    }
    match body.collect(limit).await {
        Ok(bytes) => request.set_body(bytes),
        Err(error) if error.status() == 413 => return too_large(limit),
        Err(error) => return Done::Http(Err(error)),
    }
    Done::Http(match application.handle(request) {
        Handled::Ready(answer) => answer,
        Handled::Pending(work) => work.await,
    })
}

/// Sends a body piece by piece, as the client takes it.
async fn send(mut chunks: ChunkStream, channel: Arc<Channel>) {
    /// Says that the body is not complete, unless it is.
    struct Incomplete(Arc<Channel>, bool);
    impl Drop for Incomplete {
        fn drop(&mut self) {
            if !self.1 {
                self.0.send_error("the app did not finish it");
            }
        }
    }
    let mut unfinished = Incomplete(channel, false);
    match send_pieces(&unfinished.0, |context| chunks.poll_next_unpin(context)).await {
        Ok(()) => unfinished.0.send_end(),
        Err(Unsent::Failed(error)) => {
            log::error!("incomplete response: {error}");
            unfinished.0.send_error(error.message());
        }
        Err(Unsent::Over(error)) => {
            log::debug!("the response was not sent to its end: {error}");
            return;
        }
    }
    unfinished.1 = true;
}
