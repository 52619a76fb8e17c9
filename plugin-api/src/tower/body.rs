//! A request's body, as services take it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::convert;
use super::lent::Lent;
use crate::http::stream::{Channel, Item, Receiver};

/// The body of a request.
#[derive(Default)]
pub struct Body(Source);

#[derive(Default)]
enum Source {
    #[default]
    Empty,
    Whole(Bytes),
    Stream(Receiver, Arc<Lent>),
}

/// Why a body is not complete: the client has left, or sent something that is not a body.
#[derive(Debug)]
pub struct BodyError(String);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BodyError {}

impl Body {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(Source::Whole(bytes))
    }

    pub(super) fn stream(channel: Arc<Channel>, lent: Arc<Lent>) -> Self {
        Self(Source::Stream(Receiver::new(channel), lent))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Source::Empty => Poll::Ready(None),
            Source::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Stream(receiver, lent) => loop {
                return Poll::Ready(match ready!(receiver.poll_receive(context)) {
                    Some(Ok(Item::Chunk(chunk))) => Some(Ok(Frame::data(lent.lend(chunk)))),
                    Some(Ok(Item::Trailers(trailers))) => {
                        Some(convert::trailers(&trailers).map(Frame::trailers).map_err(BodyError))
                    }
                    Some(Ok(Item::Message(..) | Item::Close(..))) => continue,
                    Some(Err(error)) => Some(Err(BodyError(error.message().to_owned()))),
                    None => None,
                });
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Source::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Stream(..) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Empty => "Body(empty)",
            Source::Whole(_) => "Body(whole)",
            Source::Stream(..) => "Body(stream)",
        })
    }
}
