//! An answer of actix-web as one of HTTP/2.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::Response;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use hyper::body::Frame;

use super::held::{Held, Untaken};
use crate::http::trailers;

/// The largest piece of a body that is handed to a stream before the client has room for it.
const PIECE: usize = 16 * 1024;

/// The body of an answer.
pub(super) struct Body {
    body: Option<BoxBody>,
    piece: Bytes,
    untaken: Untaken,
}

/// The same response for HTTP/2.
pub(super) fn convert(response: Response<BoxBody>, is_head: bool, held: &Rc<Held>) -> http::Response<Body> {
    let (response, body) = response.into_parts();
    let mut size = body.size();
    if response.status() == StatusCode::NO_CONTENT {
        size = BodySize::None;
    }
    let mut converted = http::Response::new(());
    *converted.status_mut() = http::StatusCode::from_u16(response.status().as_u16()).unwrap_or_default();
    let headers = converted.headers_mut();
    for (name, value) in response.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) else { continue };
        let is_of_connection = [CONNECTION, TRANSFER_ENCODING, UPGRADE].contains(&name);
        let is_replaced = name == CONTENT_LENGTH && matches!(size, BodySize::Sized(_));
        if !is_of_connection && !is_replaced {
            headers.append(name, value);
        }
    }
    let bytes = if let BodySize::Sized(bytes) = size {
        headers.insert(CONTENT_LENGTH, bytes.into());
        bytes
    } else {
        0
    };
    let is_empty = is_head || size.is_eof();
    // What is made as it is taken is not held.
    let bytes = if is_empty { 0 } else { usize::try_from(bytes).unwrap_or(usize::MAX) };
    let body = Body { body: (!is_empty).then_some(body), piece: Bytes::new(), untaken: held.hold(bytes) };
    converted.map(|()| body)
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        this.untaken.next();
        while this.piece.is_empty() {
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            let (next, trailers) = trailers::catch(|| Pin::new(body).poll_next(context));
            match ready!(next) {
                Some(Ok(piece)) => this.piece = piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.to_string().into()))),
                None => {
                    this.body = None;
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(*trailers))));
                }
            }
        }
        let piece = this.piece.split_to(this.piece.len().min(PIECE));
        this.untaken.hand_over(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }
}
