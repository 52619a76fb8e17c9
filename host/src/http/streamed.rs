//! A body that the app sends piece by piece, for actix-web.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use futures_util::StreamExt;

use super::trailers;
use crate::dispatch::exchange::Download;

/// A body that follows its head.
pub(super) struct Streamed {
    download: Download,
    size: BodySize,
    takes_trailers: bool,
}

impl Streamed {
    /// A body of this length, if it is known. Its trailers are dropped unless the client takes them.
    pub(super) fn new(download: Download, length: Option<u64>, takes_trailers: bool) -> Self {
        Self { download, size: length.map_or(BodySize::Stream, BodySize::Sized), takes_trailers }
    }
}

impl MessageBody for Streamed {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match ready!(self.download.poll_next_unpin(context)) {
                // In HTTP/1.1, a chunk without bytes is the last one.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(piece) => return Poll::Ready(Some(piece)),
                None => {
                    let trailers = self.download.take_trailers().filter(|_| self.takes_trailers);
                    if let Some(trailers) = trailers {
                        trailers::hand_over(Box::new(trailers));
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }
}
