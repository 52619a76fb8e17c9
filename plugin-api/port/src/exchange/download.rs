//! An answer's body on its way to the client.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use atoll_protocol::{HttpResponse, INITIAL_CREDIT, piece_credit};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;

use super::frames::{Frames, GOING_AWAY};
use super::pace::BODY_TIMEOUT;
use super::pending::Exchange;
use super::request_body::BodySource;
use super::trailers;
use super::upload::Upload;
use crate::generation::Generation;
use crate::worker_message::ReplyEvent;

/// A body as the app sends it, and the request's own body on the way to it.
///
/// An error is the end: the body is not complete. When the app's generation is to go and does not end the body in time,
/// it is ended: server-sent events as if they were complete, since their client connects again, a WebSocket by a close with
/// the code 1012, and others with an error.
pub struct Download<G: Generation> {
    exchange: Exchange<G>,
    /// The credit of what was taken since the app was last granted some.
    taken: u64,
    ending: BoxFuture<'static, ()>,
    /// It is to end now.
    is_ending: bool,
    /// Whether it may end at any time.
    ends_cleanly: bool,
    /// The frames of a WebSocket that the app carries itself.
    frames: Option<Frames>,
    /// Why it is not complete, when that is still to be said.
    broken: Option<io::Error>,
    ended: bool,
    /// How many bytes the trailers may have.
    trailers_limit: usize,
    trailers: Option<HeaderMap>,
}

impl<G: Generation> Download<G> {
    pub(super) fn new(exchange: Exchange<G>, head: &HttpResponse<'_>, trailers_limit: usize) -> Self {
        let ends_cleanly = head.headers.iter().any(|header| {
            header.0.eq_ignore_ascii_case("content-type") && header.1.starts_with("text/event-stream")
        });
        let ending = exchange.in_flight().requests().shutdown();
        let ending: BoxFuture<'static, ()> =
            if ends_cleanly { Box::pin(ending.endless_cancelled()) } else { Box::pin(ending.cancelled()) };
        Self {
            exchange,
            taken: 0,
            ending,
            is_ending: false,
            ends_cleanly,
            frames: None,
            broken: None,
            ended: false,
            trailers_limit,
            trailers: None,
        }
    }

    /// The trailers, once the body has ended and if it has some; once.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Takes the body for the frames of a WebSocket that the app has accepted itself, and `source` for those of the client.
    pub fn carry_websocket(&mut self, source: BodySource) {
        self.frames = Some(Frames::default());
        self.ending = Box::pin(self.exchange.in_flight().requests().shutdown().endless_cancelled());
        // Its pace is not looked at: it is a conversation.
        self.exchange.upload = Some(Upload::new(source, BODY_TIMEOUT));
    }

    fn take(&mut self, bytes: usize) {
        self.taken += piece_credit(bytes);
        if self.taken >= INITIAL_CREDIT / 2 {
            let bytes = std::mem::take(&mut self.taken);
            self.exchange.answer().grant(bytes);
        }
    }

    /// How it ends before the app has ended it.
    fn last_words(&mut self) -> Option<io::Result<Bytes>> {
        match self.frames.take() {
            Some(frames) if frames.are_complete() => {
                self.ends_cleanly = true;
                Some(Ok(Bytes::from_static(GOING_AWAY)))
            }
            None if self.ends_cleanly => None,
            _ => Some(Err(cut("the app is being replaced"))),
        }
    }

    /// That the body ends before it is complete, for a reason that is the app's.
    fn incomplete(&self, why: &str) -> io::Error {
        self.exchange.in_flight().note_incomplete(why);
        cut(why)
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.is_ending = self.is_ending || self.ending.as_mut().poll(context).is_ready();
        if self.is_ending {
            return Poll::Ready(self.last_words());
        }
        loop {
            match ready!(self.exchange.poll_event(context)) {
                Ok(ReplyEvent::Chunk(buffer)) => {
                    self.take(buffer.len());
                    if let Some(frames) = &mut self.frames {
                        frames.follow(&buffer);
                    }
                    return Poll::Ready(Some(Ok(Bytes::from_owner(buffer))));
                }
                Ok(ReplyEvent::End(trailers)) => {
                    self.exchange.answer().finish();
                    if trailers.is_empty() {
                        return Poll::Ready(None);
                    }
                    match trailers::of_app(&trailers, self.trailers_limit) {
                        Ok(trailers) => {
                            self.trailers = Some(trailers);
                            return Poll::Ready(None);
                        }
                        Err(error) => return Poll::Ready(Some(Err(self.incomplete(&error.to_string())))),
                    }
                }
                Ok(ReplyEvent::Failed(message)) => {
                    self.exchange.answer().finish();
                    return Poll::Ready(Some(Err(self.incomplete(&message))));
                }
                Ok(ReplyEvent::Answer(..) | ReplyEvent::Refused(_)) => {
                    return Poll::Ready(Some(Err(cut("the handler did not finish it"))));
                }
                Ok(ReplyEvent::WsMessage(..) | ReplyEvent::WsClose(..) | ReplyEvent::Credit(_)) => {}
                Err(gone) => return Poll::Ready(Some(Err(cut(&gone.to_string())))),
            }
        }
    }
}

fn cut(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, why.to_owned())
}

impl<G: Generation> futures_util::Stream for Download<G> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(error) = this.broken.take() {
            this.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        let chunk = ready!(this.poll_chunk(context));
        if let Some(Err(error)) = chunk {
            // The connection is closed at an error, with what it has not sent. So it gets a turn to send it.
            this.broken = Some(error);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.ended = chunk.is_none();
        Poll::Ready(chunk)
    }
}

impl<G: Generation> fmt::Debug for Download<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Download")
    }
}
