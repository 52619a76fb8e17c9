//! A request's body as it comes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::{Stream, StreamExt};

use super::channel::{Channel, Item, Receiver};
use super::chunk::Chunk;
use crate::http::payload::Payload;
use atoll_protocol::Error;

/// A request's body as it comes, piece by piece: see [`streamed`](crate::streamed). The client is asked for more only as
/// the pieces are taken, so that a body of any size needs little memory.
///
/// An error is the end: the client has left, or sent something that is not a body.
pub struct BodyStream(Source);

enum Source {
    Whole(Option<Chunk>),
    Channel(Receiver),
}

impl BodyStream {
    pub(crate) fn whole(bytes: Payload) -> Self {
        Self(Source::Whole(Some(Chunk(bytes)).filter(|chunk| !chunk.is_empty())))
    }

    pub(crate) fn of_channel(channel: Arc<Channel>) -> Self {
        Self(Source::Channel(Receiver::new(channel)))
    }

    /// Waits for the next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Chunk, Error>> {
        self.next().await
    }

    /// Waits for all of it.
    ///
    /// # Errors
    /// With status 413 when it is more than `limit` bytes; the stream's own error.
    pub async fn collect(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk?;
            if (all.len() + chunk.len()) as u64 > limit {
                return Err(Error::new(413, format!("the body is larger than {limit} bytes")));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

impl Stream for BodyStream {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Source::Whole(chunk) => Poll::Ready(chunk.take().map(Ok)),
            Source::Channel(receiver) => loop {
                match ready!(receiver.poll_receive(context)) {
                    Some(Ok(Item::Chunk(bytes))) => return Poll::Ready(Some(Ok(bytes.into()))),
                    // What a body has no place for is not the host's to send.
                    Some(Ok(Item::Message(..) | Item::Close(..))) => {}
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                }
            },
        }
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}
