//! HTTP/1: one request at a time.
//!
//! The next request is not looked at before the answer to the one before has been written: the codec encodes an answer by
//! the request that it has decoded last.

mod body;
mod chunks;
mod connection;
mod deadline;
mod extras;
mod input;
mod output;
mod respond;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use actix_http::h1::MessageType;
use actix_http::{ConnectionType, Payload, Request, Response};
use actix_web::body::{BodySize, BoxBody};
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::http::{Method, StatusCode};
use bytes::BytesMut;
use tokio::time::Instant;

use self::chunks::Chunks;
use self::connection::Connection;
use self::extras::Extras;
use self::input::{Head, Progress};
use self::respond::{After, Asked};
use super::closing;
use super::current::Current;
use super::shared::{Answer, Shared};
use super::transport::Transport;

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
    let mut connection = Connection::new(stream, input, deadline, shared);
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
        self.chunks = request.head().headers.contains_key(TRANSFER_ENCODING).then(Chunks::default);
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
}
