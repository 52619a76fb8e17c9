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

/// A request's body as a stream of chunks: see [`streamed`](crate::streamed). More data is read from the client only as
/// you read chunks, so that a body of any size needs little memory.
///
/// An error ends the stream: the client has disconnected, or sent an invalid body.
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

    /// Waits for the next chunk; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Chunk, Error>> {
        self.next().await
    }

    /// Waits for all of it.
    ///
    /// # Errors
    /// Status 413 if it is larger than `limit` bytes; the stream's error.
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
                    // There are only chunks, and what a body has no place for is not the host's to send.
                    Some(Ok(Item::Trailers(_) | Item::Message(..) | Item::Close(..))) => {}
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
