//! A body with something behind its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

/// A body, and what is sent when it has come to its end: one that breaks off stays broken off.
pub(super) struct Appended {
    body: BoxBody,
    tail: Option<Bytes>,
    ended: bool,
}

impl Appended {
    pub(super) fn new(body: BoxBody, tail: Bytes) -> Self {
        Self { body, tail: Some(tail), ended: false }
    }
}

impl MessageBody for Appended {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        let tail = self.tail.as_ref().map_or(0, |tail| tail.len() as u64);
        match self.body.size() {
            BodySize::Sized(length) => BodySize::Sized(length + tail),
            BodySize::None => BodySize::Sized(tail),
            BodySize::Stream => BodySize::Stream,
        }
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if !this.ended {
            if let Some(chunk) = ready!(Pin::new(&mut this.body).poll_next(context)) {
                return Poll::Ready(Some(chunk));
            }
            this.ended = true;
        }
        Poll::Ready(this.tail.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{self, BodyStream};
    use futures_util::stream;

    use super::*;

    async fn read(body: BoxBody) -> (BodySize, Result<Bytes, String>) {
        let appended = Appended::new(body, Bytes::from_static(b"!"));
        let size = appended.size();
        (size, body::to_bytes(appended).await.map_err(|error| error.to_string()))
    }

    #[actix_web::test]
    async fn it_comes_last_and_is_counted() {
        assert_eq!(read(BoxBody::new("page")).await, (BodySize::Sized(5), Ok("page!".into())));
        assert_eq!(read(BoxBody::new("")).await, (BodySize::Sized(1), Ok("!".into())));
        let chunks = ["one ", "two"].map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        let streamed = BoxBody::new(BodyStream::new(stream::iter(chunks)));
        assert_eq!(read(streamed).await, (BodySize::Stream, Ok("one two!".into())));
    }

    #[actix_web::test]
    async fn what_breaks_off_stays_so() {
        let chunks = [Ok(Bytes::from("half")), Err(std::io::Error::other("it broke"))];
        let (_, result) = read(BoxBody::new(BodyStream::new(stream::iter(chunks)))).await;
        assert!(result.unwrap_err().contains("it broke"));
    }
}
