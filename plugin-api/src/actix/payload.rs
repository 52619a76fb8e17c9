//! The body of a request, as actix-web reads it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;

use crate::tower::Body;

/// The pieces of a body, without its trailers, which actix-web does not know.
pub(super) struct BodyStream(pub(super) Body);

impl Stream for BodyStream {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut self.0).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    Err(_trailers) => continue,
                },
                Some(Err(error)) => Some(Err(PayloadError::Incomplete(Some(std::io::Error::other(error))))),
                None => None,
            });
        }
    }
}
