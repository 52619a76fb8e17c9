//! HTTP/1: one request at a time.
//!
//! The next request is not looked at before the answer to the one before has been written: the codec encodes an answer by
//! the request that it has decoded last.

mod body;
mod deadline;
mod input;
mod output;
mod respond;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use actix_http::h1::{Codec, MessageType};
use actix_http::{ConnectionType, Payload, Request, Response};
use actix_web::body::{BodySize, BoxBody};
use actix_web::http::{Method, StatusCode, Version};
use bytes::BytesMut;
use tokio::time::Instant;
use tokio_util::sync::WaitForCancellationFutureOwned;

use self::deadline::Deadline;
use self::input::{Extras, Head, Progress};
use self::output::Output;
use self::respond::After;
use super::closing;
use super::current::Current;
use super::limits::WRITE_TIMEOUT;
use super::service::{Answer, Shared};
use super::shutdown::Shutdown;
use super::transport::Transport;
use super::unsent::Account;

/// A connection.
struct Connection<'a, T> {
    stream: T,
    codec: Codec,
    input: BytesMut,
    output: Output,
    /// The body of the request that is being answered, until all of it has been read.
    body: Option<body::Sender>,
    extras: Extras,
    /// The client waits for a 100 before it sends its body.
    expects_continue: bool,
    /// The body could not be read to its end: what follows is no request.
    is_broken: bool,
    /// The client has closed its end.
    has_left: bool,
    /// The client takes nothing for now: there is a deadline for it.
    is_stalled: bool,
    deadline: Deadline,
    unsent: Account,
    shutdown: &'a Shutdown,
    shutdown_begun: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What the answer depends on beside itself.
#[derive(Clone, Copy)]
struct Asked {
    is_head: bool,
    version: Version,
    /// All that follows on the connection is the request's.
    takes_all: bool,
}

/// Serves a connection to its end. `input` has been read already; the first head has to be there by the `deadline`.
pub(super) async fn serve<T, S>(
    stream: T,
    input: BytesMut,
    deadline: Instant,
    shared: &Shared<S>,
    current: &Current,
) where
    T: Transport,
    S: Answer,
{
    let mut connection = Connection {
        stream,
        codec: Codec::new(shared.config.clone()),
        input,
        output: Output::default(),
        body: None,
        extras: Extras::default(),
        expects_continue: false,
        is_broken: false,
        has_left: false,
        is_stalled: false,
        deadline: Deadline::new(deadline),
        unsent: Account::new(&shared.unsent),
        shutdown: &shared.shutdown,
        shutdown_begun: Box::pin(shared.shutdown.begun()),
    };
    let mut is_first = true;
    loop {
        let after = match connection.head(is_first).await {
            Head::Request(request) => connection.exchange(request, &*shared.service, current).await,
            Head::Refused(status) => connection.refuse(status).await,
            Head::None => return,
        };
        is_first = false;
        match after {
            After::Next => {}
            After::Close { unread } => {
                return closing::close(&mut connection.stream, &mut connection.input, unread).await;
            }
            After::Abort => return,
        }
    }
}

impl<T: Transport> Connection<'_, T> {
    /// Answers a request.
    async fn exchange<S: Answer>(&mut self, mut request: Request, service: &S, current: &Current) -> After {
        let asked = Asked {
            is_head: request.method() == Method::HEAD,
            version: request.version(),
            takes_all: self.codec.message_type() == MessageType::Stream,
        };
        request.head_mut().peer_addr = current.address();
        if self.codec.message_type() != MessageType::None {
            self.expects_continue = request.head().expect();
            self.begin_body(&mut request);
        }
        let mut answer = pin!(service.call(request));
        let answered = poll_fn(|context| {
            // What has come with the head is there when the handler looks for it.
            self.feed(context);
            loop {
                if let Poll::Ready(answered) = answer.as_mut().poll(context) {
                    return Poll::Ready(Some(answered));
                }
                match self.receive(context) {
                    Progress::Some => {}
                    // Before the answer, only a 100 is written.
                    Progress::None if self.output.len() > 0 => {
                        return match self.poll_write(context) {
                            Poll::Ready(Err(_)) => Poll::Ready(None),
                            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                        };
                    }
                    Progress::None => return Poll::Pending,
                    Progress::Left => return Poll::Ready(None),
                }
            }
        });
        match answered.await {
            Some(Ok(response)) => self.respond(response.into(), asked).await,
            Some(Err(error)) => {
                let response: Response<BoxBody> = error.error_response().into();
                self.respond(response, asked).await
            }
            None => After::Abort,
        }
    }

    fn begin_body(&mut self, request: &mut Request) {
        let (sender, receiver) = body::body();
        *request.payload() = Payload::Stream { payload: Box::pin(receiver) };
        self.body = Some(sender);
        self.extras = Extras::default();
    }

    /// Answers what is no request.
    async fn refuse(&mut self, status: StatusCode) -> After {
        let mut response = Response::with_body(status, ());
        response.head_mut().set_connection_type(ConnectionType::Close);
        if self.encode_head(response, BodySize::Sized(0)).is_err() {
            return After::Abort;
        }
        match poll_fn(|context| self.poll_write(context)).await {
            Ok(()) => After::Close { unread: true },
            Err(_) => After::Abort,
        }
    }

    /// Writes all that is encoded. An error when the connection cannot be used any more, also because the client does not
    /// take it in time, or others need the memory.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.output.len();
        let written = self.output.poll_write(&mut self.stream, context);
        if written.is_ready() {
            self.unsent.set(0);
            self.is_stalled = false;
            return written;
        }
        let left = self.output.len();
        if !self.is_stalled || left < before {
            self.is_stalled = true;
            self.deadline.set(Instant::now() + WRITE_TIMEOUT);
        }
        self.unsent.set(left);
        if self.deadline.poll(context).is_ready() || self.unsent.poll_exceeded(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}
