//! The bodies of requests and responses.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};

use actix_web::HttpRequest;
use actix_web::body::{self, BodyStream, BoxBody, SizedStream};
use actix_web::http::{Method, StatusCode, Version, header};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use http::HeaderMap;

use super::head::{self, takes_trailers};
use super::limits::check_trailers;
use super::server_limits::ServerLimits;
use super::streamed::Streamed;
use super::trailers;
use crate::dispatch::exchange::{BodyPart, RequestBody, ResponseBody, WHOLE_LIMIT};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::metrics::Metrics;

/// What has come of a request's body with its head, and the rest as a stream.
pub(super) async fn request_body(
    request: &HttpRequest,
    mut payload: Payload,
    metrics: &Arc<Metrics>,
    limits: &ServerLimits,
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
        let (next, trailers) = trailers::catch(|| payload.next().now_or_never());
        match next {
            Some(Some(Ok(chunk))) => match &only {
                None => only = Some(chunk),
                Some(first) => {
                    if begun.is_empty() {
                        begun.extend_from_slice(first);
                    }
                    begun.extend_from_slice(&chunk);
                }
            },
            Some(Some(Err(error))) => return Err(Problem::new(ProblemKind::BadRequest, error.to_string())),
            Some(None) => {
                let all = if begun.is_empty() { only } else { Some(begun.freeze()) };
                metrics.received.add(all.as_ref().map_or(0, Bytes::len) as u64);
                if let Some(trailers) = trailers {
                    // They end what comes piece by piece.
                    check_trailers(&trailers, limits.max_header_bytes)?;
                    let end = BodyPart::Trailers(head::trailers(&trailers));
                    let parts = all.map(BodyPart::Data).into_iter().chain([end]);
                    let parts = Box::pin(stream::iter(parts.map(Ok)));
                    return Ok(RequestBody::Stream(parts, limits.body_timeout));
                }
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
    let metrics = metrics.clone();
    let begun = stream::iter(begun.map(|bytes| Ok(BodyPart::Data(bytes))));
    let counted = begun.chain(rest(payload, limits.max_header_bytes)).inspect_ok(move |part| {
        if let BodyPart::Data(bytes) = part {
            metrics.received.add(bytes.len() as u64);
        }
    });
    Ok(RequestBody::Stream(Box::pin(counted), limits.body_timeout))
}

/// What is still to come of a body, with at most so many bytes of trailers.
fn rest(mut payload: Payload, most: usize) -> impl Stream<Item = Result<BodyPart, String>> {
    let mut has_ended = false;
    let part_of = move |trailers: &HeaderMap| match check_trailers(trailers, most) {
        Ok(()) => Ok(BodyPart::Trailers(head::trailers(trailers))),
        Err(problem) => Err(problem.detail().to_owned()),
    };
    stream::poll_fn(move |context| {
        if has_ended {
            return Poll::Ready(None);
        }
        let (next, trailers) = trailers::catch(|| payload.poll_next_unpin(context));
        let chunk = ready!(next);
        has_ended = chunk.is_none();
        Poll::Ready(match chunk {
            Some(chunk) => Some(chunk.map(BodyPart::Data).map_err(|error| error.to_string())),
            None => trailers.map(|trailers| part_of(&trailers)),
        })
    })
}

/// In HTTP/1 a body is announced; in HTTP/2 it need not be.
fn is_http1(request: &HttpRequest) -> bool {
    request.version() < Version::HTTP_2
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

/// The body of a response to a request, with the length that the client gets. `length` is what the app says of it.
pub(super) fn response_body(
    request: &HttpRequest,
    status: StatusCode,
    length: Option<u64>,
    body: ResponseBody,
) -> BoxBody {
    let method = request.method();
    let nothing = stream::empty::<Result<Bytes, Infallible>>();
    match (body, length) {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => {
            BoxBody::new(body::None::new())
        }
        // It has a length, which is none (RFC 9110, section 15.3.6).
        _ if status == StatusCode::RESET_CONTENT => BoxBody::new(Bytes::new()),
        // The length of what a GET would bring, which the app knows and has not made.
        (ResponseBody::Whole(bytes), Some(length)) if method == Method::HEAD && bytes.is_empty() => {
            BoxBody::new(SizedStream::new(length, nothing))
        }
        // A stream may have no end, and nothing of it is sent.
        (ResponseBody::Stream(_), Some(length)) if method == Method::HEAD => {
            BoxBody::new(SizedStream::new(length, nothing))
        }
        // Nobody knows the length: the app has made no body, or not all of it.
        (ResponseBody::Whole(bytes), None) if method == Method::HEAD && bytes.is_empty() => {
            BoxBody::new(BodyStream::new(nothing))
        }
        (ResponseBody::Stream(_), None) if method == Method::HEAD => BoxBody::new(BodyStream::new(nothing)),
        (ResponseBody::Whole(bytes), _) => BoxBody::new(bytes),
        (ResponseBody::Stream(download), length) => {
            // In HTTP/2 there is a place for them in any case, also where there is no data.
            let is_http2 = !is_http1(request);
            let length = length.filter(|bytes| *bytes > 0 || !is_http2);
            let takes_trailers = is_http2 || takes_trailers(request.headers());
            BoxBody::new(Streamed::new(download, length, takes_trailers))
        }
        // A handshake that nobody has asked for is refused before.
        (ResponseBody::WebSocket(_), _) => BoxBody::new(body::None::new()),
    }
}
