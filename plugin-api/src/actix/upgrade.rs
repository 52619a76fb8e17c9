//! Connections that an actix-web handler takes from HTTP, such as WebSockets: it responds with 101, reads what the client sends
//! from the request's body, and what it sends is the response's body.

use std::future::poll_fn;
use std::pin::Pin;

use actix_http::Payload;
use actix_http::body::{BoxBody, MessageBody};
use actix_http::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_channel::mpsc::{SendError, Sender, channel};
use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::request;
use super::response::{self, ResponseBody};
use super::service::Service;
use crate::tower::Body;

/// How many pieces of what the client sends wait for the handler.
const WAITING: usize = 16;

/// So much is read from the client at once.
const PIECE: usize = 16 * 1024;

type Piece = Result<Bytes, PayloadError>;

/// Answers a request for an upgrade. If the handler wants the connection, it gets it once the answer is sent.
pub(super) async fn answer(
    service: &Service,
    request: http::Request<Body>,
    connection: OnUpgrade,
) -> Response<ResponseBody> {
    let (sender, receiver) = channel::<Piece>(WAITING);
    let (head, _body) = request.into_parts();
    let request = match request::with_payload(&head, Payload::Stream { payload: Box::pin(receiver) }) {
        Ok(request) => request,
        Err(refused) => return refused.into(),
    };
    let answer = service.answer(request).await;
    if answer.status().as_u16() != StatusCode::SWITCHING_PROTOCOLS {
        return response::convert(answer, false);
    }
    let (head, body) = answer.into_parts();
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = response::headers(head.headers());
    // actix-web's server writes it where a response is marked so.
    response.headers_mut().entry(CONNECTION).or_insert(HeaderValue::from_static("upgrade"));
    tokio::task::spawn_local(async move {
        match connection.await {
            Ok(connection) => exchange(TokioIo::new(connection), sender, body).await,
            Err(error) => log::debug!("the connection was not handed over: {error}"),
        }
    });
    response
}

/// Hands over what the client sends, and sends what the handler does, until the handler has ended its body.
async fn exchange(connection: impl AsyncRead + AsyncWrite, to_handler: Sender<Piece>, body: BoxBody) {
    let (from_client, mut to_client) = tokio::io::split(connection);
    let answer = async {
        let mut body = Box::pin(body);
        while let Some(piece) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
            match piece {
                Ok(piece) if to_client.write_all(&piece).await.is_ok() => {}
                // The client has left.
                Ok(_) => return,
                Err(error) => return log::error!("incomplete response: {error}"),
            }
        }
        // It fails when the client has left.
        let _ = to_client.shutdown().await;
    };
    tokio::select! {
        () = answer => {}
        () = receive(from_client, to_handler) => {}
    }
}

/// What the client sends, until it has left; then never ready, since the handler may have more to say.
async fn receive(mut from_client: impl AsyncRead + Unpin, mut to_handler: Sender<Piece>) {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        match from_client.read_buf(&mut piece).await {
            Ok(0) => break,
            Ok(_) => {
                if send(&mut to_handler, Ok(piece.freeze())).await.is_err() {
                    // The handler reads no more.
                    break;
                }
            }
            Err(error) => {
                // A handler that reads no more does not miss it.
                let _ = send(&mut to_handler, Err(PayloadError::Incomplete(Some(error)))).await;
                break;
            }
        }
    }
    drop(to_handler);
    std::future::pending().await
}

/// Waits until there is room for one more, and adds it.
async fn send(to_handler: &mut Sender<Piece>, piece: Piece) -> Result<(), SendError> {
    poll_fn(|context| to_handler.poll_ready(context)).await?;
    to_handler.start_send(piece)
}
