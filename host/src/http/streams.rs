//! Bodies and WebSockets between actix and an exchange.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use actix_web::body::{BodyStream, BoxBody, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{FutureExt, SinkExt, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};
use tokio_util::sync::PollSender;

use crate::exchange::{BodySource, Exchange, RequestBody, ResponseBody, WHOLE_LIMIT};
use crate::problem::{Kind, Problem};
use crate::websocket;

/// How many frames of a WebSocket may wait for the connection.
const FRAMES: usize = 16;

/// What has come of a request's body with its head, and the rest as a stream.
pub(super) async fn request_body(
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<RequestBody, Problem> {
    let headers = request.headers();
    let declared = headers.contains_key(header::CONTENT_LENGTH);
    if !declared && !headers.contains_key(header::TRANSFER_ENCODING) && is_http1(request) {
        return Ok(RequestBody::None);
    }
    let mut begun = BytesMut::new();
    let mut only: Option<Bytes> = None;
    let mut has_yielded = false;
    loop {
        match payload.next().now_or_never() {
            Some(Some(Ok(chunk))) => match &only {
                None => only = Some(chunk),
                Some(first) => {
                    if begun.is_empty() {
                        begun.extend_from_slice(first);
                    }
                    begun.extend_from_slice(&chunk);
                }
            },
            Some(Some(Err(error))) => return Err(Problem::new(Kind::BadRequest, error.to_string())),
            Some(None) => {
                let all = if begun.is_empty() { only } else { Some(begun.freeze()) };
                return Ok(match all {
                    Some(bytes) => RequestBody::Whole(bytes),
                    None if declared => RequestBody::Whole(Bytes::new()),
                    None => RequestBody::None,
                });
            }
            // The connection hands over the head first, and then what has come with it.
            None if !has_yielded => {
                has_yielded = true;
                yield_once().await;
                continue;
            }
            None => break,
        }
        if begun.len().max(only.as_ref().map_or(0, Bytes::len)) > WHOLE_LIMIT {
            break;
        }
    }
    let begun = if begun.is_empty() { only } else { Some(begun.freeze()) };
    let rest = payload.map(|chunk| chunk.map_err(|error| error.to_string()));
    Ok(RequestBody::Stream(Box::pin(stream::iter(begun.map(Ok)).chain(rest))))
}

/// In HTTP/1 a body is announced; in HTTP/2 it need not be.
fn is_http1(request: &HttpRequest) -> bool {
    request.version() < actix_web::http::Version::HTTP_2
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The stream of what an upgraded connection sends.
pub(super) fn upgraded(payload: Payload) -> BodySource {
    Box::pin(payload.map(|chunk| chunk.map_err(|error| error.to_string())))
}

/// The answer's body as actix sends it. `length` is what the app says of it.
pub(super) fn response_body(body: ResponseBody, status: StatusCode, length: Option<u64>) -> BoxBody {
    match (body, length) {
        (ResponseBody::Whole(bytes), _) => BoxBody::new(bytes),
        (ResponseBody::Stream(download), Some(length)) if status != StatusCode::SWITCHING_PROTOCOLS => {
            BoxBody::new(SizedStream::new(length, download))
        }
        (ResponseBody::Stream(download), _) => BoxBody::new(BodyStream::new(download)),
        // A WebSocket is answered by `websocket`.
        (ResponseBody::WebSocket(_), _) => BoxBody::new(()),
    }
}

/// Answers a WebSocket handshake, and serves the WebSocket from then on.
///
/// # Errors
/// The request is not a handshake.
pub(super) fn websocket(
    headers: &HeaderMap,
    payload: Payload,
    exchange: Exchange,
    message_limit: usize,
) -> Result<HttpResponse, Problem> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| {
        Problem::new(Kind::BadGateway, "The app accepted a WebSocket that was not asked for.".to_owned())
    })?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|error| Problem::new(Kind::BadRequest, error.to_string()))?;
    let (frames, mut sent) = mpsc::channel::<Bytes>(FRAMES);
    let sink = PollSender::new(frames).sink_map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe));
    let reader = StreamReader::new(payload.map(|chunk| chunk.map_err(io::Error::other)));
    let writer = SinkWriter::new(CopyToBytes::new(sink));
    actix_web::rt::spawn(websocket::serve(tokio::io::join(reader, writer), exchange, message_limit));
    Ok(HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, accept))
        .body(BodyStream::new(stream::poll_fn(move |context| {
            sent.poll_recv(context).map(|frames| frames.map(Ok::<_, Infallible>))
        }))))
}
