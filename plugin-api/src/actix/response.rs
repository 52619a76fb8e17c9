//! Responses, from actix-web's to the `http` crate's.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body::{Frame, SizeHint};

/// The body of a response.
pub struct ResponseBody(Source);

enum Source {
    /// A body that is there already; `None`: it was taken.
    Whole(Option<Bytes>),
    Stream(BoxBody),
}

/// Why a response is not complete: a text, since errors of actix-web's bodies are bound to their thread.
#[derive(Debug)]
pub struct ResponseBodyError(String);

impl fmt::Display for ResponseBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ResponseBodyError {}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self(Source::Whole(Some(text.into())))
    }
}

impl From<BoxBody> for ResponseBody {
    fn from(body: BoxBody) -> Self {
        match body.try_into_bytes() {
            Ok(bytes) => Self(Source::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))),
            Err(body) => Self(Source::Stream(body)),
        }
    }
}

impl ResponseBody {
    /// No body.
    pub(super) fn empty() -> Self {
        Self(Source::Whole(None))
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let next = match &mut self.0 {
            Source::Whole(bytes) => bytes.take().map(Ok),
            Source::Stream(body) => ready!(Pin::new(body).poll_next(context)),
        };
        Poll::Ready(
            next.map(|piece| piece.map(Frame::data).map_err(|error| ResponseBodyError(error.to_string()))),
        )
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Source::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Stream(body) => match body.size() {
                BodySize::None => SizeHint::with_exact(0),
                BodySize::Sized(size) => SizeHint::with_exact(size),
                BodySize::Stream => SizeHint::default(),
            },
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseBody")
    }
}

/// The response as services give it. `is_head`: to a HEAD request, whose answer has no body, though the size of one.
pub(super) fn convert(answer: actix_http::Response<BoxBody>, is_head: bool) -> http::Response<ResponseBody> {
    let (head, body) = answer.into_parts();
    let size = body.size();
    let body = if is_head { ResponseBody::empty() } else { body.into() };
    let mut response = http::Response::new(body);
    // Both crates allow the same numbers.
    *response.status_mut() = StatusCode::from_u16(head.status().as_u16()).unwrap_or_default();
    *response.headers_mut() = headers(head.headers());
    // A body of a known size is announced by it, as actix-web's server does.
    if let BodySize::Sized(size) = size
        && (is_head || size > 0)
    {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(size.into());
    }
    response
}

/// The headers as services give them.
pub(super) fn headers(from: &actix_http::header::HeaderMap) -> HeaderMap {
    let header = |(name, value): (&actix_http::header::HeaderName, &actix_http::header::HeaderValue)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    // Both crates allow the same names and values. One name may be there more than once.
    let mut headers = HeaderMap::with_capacity(from.len());
    for (name, value) in from.iter().filter_map(header) {
        headers.append(name, value);
    }
    headers
}
