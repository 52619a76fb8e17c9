//! A request of HTTP/2 as one that actix-web answers.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::Payload;
use actix_http::header::HeaderMap;
use actix_web::error::PayloadError;
use actix_web::http::header::{COOKIE, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri, Version};
use bytes::Bytes;
use futures_util::Stream;
use http::Request;
use hyper::body::{Body, Incoming};

use crate::http::trailers;

/// How many bytes the head of a request has.
pub(super) fn size<B>(request: &Request<B>) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    headers.sum::<usize>() + target
}

/// The same request for actix-web. What the HTTP/2 library accepts as target, method or header is one there, too; what is
/// not would be left out.
pub(super) fn convert(request: Request<Incoming>, peer: Option<SocketAddr>) -> actix_http::Request {
    let (parts, body) = request.into_parts();
    let mut converted = actix_http::Request::new();
    if !body.is_end_stream() {
        *converted.payload() = Payload::Stream { payload: Box::pin(Received { body, has_ended: false }) };
    }
    let head = converted.head_mut();
    head.method = Method::from_bytes(parts.method.as_str().as_bytes()).unwrap_or_default();
    head.uri = Uri::from_maybe_shared(Bytes::from(parts.uri.to_string())).unwrap_or_default();
    head.version = Version::HTTP_2;
    head.peer_addr = peer;
    add_headers(&mut head.headers, &parts.headers);
    converted
}

fn add_headers(converted: &mut HeaderMap, headers: &http::HeaderMap) {
    // One header in HTTP/1 may be several in HTTP/2, to be compressed better (RFC 9113, section 8.2.3).
    let mut cookies = Vec::new();
    for (name, value) in headers {
        if name == http::header::COOKIE {
            cookies.push(value.as_bytes());
            continue;
        }
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            converted.append(name, value);
        }
    }
    if !cookies.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        converted.append(COOKIE, value);
    }
}

/// A request's body.
struct Received {
    body: Incoming,
    has_ended: bool,
}

impl Stream for Received {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(PayloadError::Incomplete(None)))),
            None => return Poll::Ready(None),
        };
        match frame.into_data() {
            Ok(piece) => Poll::Ready(Some(Ok(piece))),
            Err(last) => {
                self.has_ended = true;
                if let Ok(trailers) = last.into_trailers() {
                    trailers::hand_over(Box::new(trailers));
                }
                Poll::Ready(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_become_one_header() {
        let mut headers = http::HeaderMap::new();
        for (name, value) in [("x-many", "1"), ("cookie", "a=1"), ("cookie", "b=2; c=3"), ("x-many", "2")] {
            headers.append(name, value.parse().unwrap());
        }
        let mut converted = HeaderMap::new();
        add_headers(&mut converted, &headers);
        assert_eq!(converted.get_all("cookie").collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
        assert_eq!(converted.get_all("x-many").collect::<Vec<_>>(), ["1", "2"]);
    }
}
