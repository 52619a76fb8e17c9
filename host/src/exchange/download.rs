//! An answer's body on its way to the client.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atoll_plugin::protocol::{Credit, HttpResponse, INITIAL_CREDIT, method};
use bytes::Bytes;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Exchange;
use super::upload::{BodySource, Upload};
use crate::event::Event;

/// A body as the app sends it, and the request's own body on the way to it.
///
/// An error is the end: the body is not complete. When the app's generation is to go and does not end the body in time,
/// it is ended: server-sent events as if they were complete, since their client connects again, and others with an error.
pub struct Download {
    exchange: Exchange,
    /// Bytes taken since the app was last granted credit.
    taken: u64,
    ending: Pin<Box<WaitForCancellationFutureOwned>>,
    is_events: bool,
    ended: bool,
}

impl Download {
    pub(super) fn new(exchange: Exchange, head: &HttpResponse<'_>) -> Self {
        let is_events = head.headers.iter().any(|header| {
            header.0.eq_ignore_ascii_case("content-type") && header.1.starts_with("text/event-stream")
        });
        let generation = exchange.in_flight();
        let ending = if is_events { generation.conversations_end() } else { generation.ending().clone() };
        let ending = Box::pin(ending.cancelled_owned());
        Self { exchange, taken: 0, ending, is_events, ended: false }
    }

    /// Sends more of the request after it was answered: what a connection that has changed its protocol brings.
    pub(crate) fn upload(&mut self, source: BodySource) {
        self.exchange.upload = Some(Upload::new(source));
    }

    fn take(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        if self.taken >= INITIAL_CREDIT / 2 {
            let bytes = std::mem::take(&mut self.taken);
            let answer = self.exchange.answer();
            answer.notify(method::BODY_CREDIT, Credit { id: answer.id(), bytes }, Vec::new());
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.ending.as_mut().poll(context).is_ready() {
            return Poll::Ready(if self.is_events {
                None
            } else {
                Some(Err(cut("the app is being replaced")))
            });
        }
        loop {
            match ready!(self.exchange.poll_event(context)) {
                Ok(Event::Chunk(buffer)) => {
                    self.take(buffer.len());
                    return Poll::Ready(Some(Ok(Bytes::from_owner(buffer))));
                }
                Ok(Event::End) => {
                    self.exchange.answer().over();
                    return Poll::Ready(None);
                }
                Ok(Event::Failed(message)) => {
                    self.exchange.answer().over();
                    log::warn!("{:?}: a response is not complete: {message}", **self.exchange.in_flight());
                    return Poll::Ready(Some(Err(cut(&message))));
                }
                Ok(Event::Answer(_)) => return Poll::Ready(Some(Err(cut("the handler did not finish it")))),
                Ok(Event::WsMessage(..) | Event::WsClose(..) | Event::Credit(_)) => {}
                Err(gone) => return Poll::Ready(Some(Err(cut(&gone.to_string())))),
            }
        }
    }
}

fn cut(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, why.to_owned())
}

impl futures_util::Stream for Download {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let chunk = ready!(this.poll_chunk(context));
        this.ended = !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk)
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Download")
    }
}
