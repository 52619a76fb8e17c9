//! What comes on a connection: heads, bodies, and the client's end.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_http::Request;
use actix_http::h1::Message;
use actix_web::error::{ParseError, PayloadError};
use actix_web::http::StatusCode;
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use tokio::time::Instant;
use tokio_util::codec::Decoder;
use tokio_util::io::poll_read_buf;

use super::body::{Demand, Sender};
use super::chunks::{Chunks, Malformed};
use super::connection::Connection;
use crate::http::connection::limits::{LAST_REQUEST_TIMEOUT, MAX_READ_AHEAD};
use crate::http::connection::transport::Transport;

/// As many bytes are read at once when a head is expected.
const HEAD_PIECE: usize = 8 * 1024;

/// As many bytes are read at once of a body.
const BODY_PIECE: usize = 32 * 1024;

/// With less room than this, the buffer grows.
const LEAST_PIECE: usize = 1024;

/// A buffer that has become larger is not kept between requests.
const LARGEST_KEPT: usize = 64 * 1024;

/// With so many bytes of a head, the codec decides that it is too large.
const LARGEST_HEAD: usize = 128 * 1024;

/// What has come where a head was expected.
pub(super) enum Head {
    /// A request.
    Request(Request),
    /// Something that is answered with this status.
    Refused(StatusCode),
    /// Nothing more.
    None,
}

/// Whether something has come for the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something.
    Some,
    /// Nothing yet. The task is woken when something comes.
    None,
    /// The client has left.
    Left,
}

/// A part of a body.
enum Part {
    Piece(Bytes),
    End(Option<Box<HeaderMap>>),
    /// More has to be read.
    Incomplete,
    Broken,
}

impl<T: Transport> Connection<'_, T> {
    /// Waits for the next request.
    pub(super) async fn head(&mut self, is_first: bool) -> Head {
        if self.input.is_empty() && self.input.capacity() > LARGEST_KEPT {
            self.input = BytesMut::new();
        }
        if !is_first {
            let (idle, begun) = (self.limits.keep_alive, self.limits.header_timeout);
            self.deadline.set(Instant::now() + if self.input.is_empty() { idle } else { begun });
        }
        let mut has_begun = !self.input.is_empty();
        let mut is_last = false;
        let mut is_new = !self.input.is_empty();
        poll_fn(|context| {
            loop {
                if std::mem::take(&mut is_new)
                    && let Some(head) = self.decode_head()
                {
                    return Poll::Ready(head);
                }
                let before = self.input.len();
                match self.poll_read(HEAD_PIECE, context) {
                    Poll::Ready(Ok(1..)) => {
                        // A part of a line makes no head, and each look at it begins from the start.
                        is_new = before == 0
                            || self.input.len() >= LARGEST_HEAD
                            || self.input[before..].contains(&b'\n');
                        if !std::mem::replace(&mut has_begun, true) && !is_first {
                            self.deadline.set(Instant::now() + self.limits.header_timeout);
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(Head::None),
                    Poll::Pending => {
                        if !is_last && self.closing_time.as_mut().poll(context).is_ready() {
                            is_last = true;
                            // A client that has just connected, or sent a part of a head, is about to send the rest.
                            if !is_first && !has_begun {
                                return Poll::Ready(Head::None);
                            }
                            self.deadline.bring_forward(Instant::now() + LAST_REQUEST_TIMEOUT);
                        }
                        return self.deadline.poll(context).map(|()| match has_begun {
                            true => Head::Refused(StatusCode::REQUEST_TIMEOUT),
                            // It might be taken for the answer to a request that is on its way.
                            false => Head::None,
                        });
                    }
                }
            }
        })
        .await
    }

    fn decode_head(&mut self) -> Option<Head> {
        // Empty lines before a request are ignored (RFC 9112, section 2.2), and looked at once.
        loop {
            match &self.input[..] {
                [b'\r', b'\n', ..] => self.input.advance(2),
                [b'\n', ..] => self.input.advance(1),
                _ => break,
            }
        }
        match self.codec.decode(&mut self.input) {
            Ok(None) => None,
            Ok(Some(Message::Item(request))) => Some(Head::Request(request)),
            // The codec is asked for a head only when the body before has ended.
            Ok(Some(Message::Chunk(_))) => Some(Head::Refused(StatusCode::INTERNAL_SERVER_ERROR)),
            Err(ParseError::Io(_)) => Some(Head::None),
            Err(ParseError::TooLarge) => Some(Head::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
            Err(_) => Some(Head::Refused(StatusCode::BAD_REQUEST)),
        }
    }

    /// Hands over what has been read of the body, as far as the handler takes it; what it does not want is discarded.
    /// Whether there was something.
    pub(super) fn feed(&mut self, context: &Context<'_>) -> bool {
        let mut has_fed = false;
        while let Some(body) = &self.body {
            let demand = body.demand(context);
            if demand == Demand::Full {
                break;
            }
            let end = match self.decode_part() {
                Part::Incomplete => break,
                Part::Piece(piece) => {
                    if let (Demand::More, Some(body)) = (demand, &self.body) {
                        body.send(piece, context);
                    }
                    has_fed = true;
                    continue;
                }
                Part::End(trailers) => Ok(trailers),
                Part::Broken => {
                    self.is_broken = true;
                    Err(PayloadError::EncodingCorrupted)
                }
            };
            if let Some(body) = self.body.take() {
                body.finish(end, context);
            }
            has_fed = true;
        }
        has_fed
    }

    fn decode_part(&mut self) -> Part {
        if let Some(chunks) = &mut self.chunks {
            chunks.look(&self.input);
        }
        let before = self.input.len();
        let part = match self.codec.decode(&mut self.input) {
            Ok(Some(Message::Chunk(Some(piece)))) => Part::Piece(piece),
            Ok(Some(Message::Chunk(None))) => Part::End(None),
            Ok(None) => Part::Incomplete,
            Ok(Some(Message::Item(_))) | Err(_) => return Part::Broken,
        };
        let piece = if let Part::Piece(piece) = &part { Some(piece.len()) } else { None };
        let taken = before - self.input.len() - piece.unwrap_or(0);
        if !self.extras.take(taken, piece.is_some()) {
            return Part::Broken;
        }
        if let Some(chunks) = &mut self.chunks {
            chunks.advance(taken, piece.unwrap_or(0));
        }
        match part {
            Part::End(_) => match self.chunks.take().map_or(Ok(None), Chunks::into_trailers) {
                Ok(trailers) => Part::End(trailers),
                Err(Malformed) => Part::Broken,
            },
            part => part,
        }
    }

    /// Reads the body as far as the handler takes it, and beyond it only to see whether the client has left.
    pub(super) fn receive(&mut self, context: &mut Context<'_>) -> Progress {
        if self.has_left {
            return Progress::None;
        }
        loop {
            if self.feed(context) {
                return Progress::Some;
            }
            if self.expects_continue && self.body.as_ref().is_some_and(Sender::is_asked) {
                self.expects_continue = false;
                // A client that has sent some of its body does not wait.
                if self.input.is_empty() {
                    self.output.encoded.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
            }
            if self.input.len() >= MAX_READ_AHEAD {
                return Progress::None;
            }
            let piece = if self.body.is_some() { BODY_PIECE } else { HEAD_PIECE };
            match self.poll_read(piece, context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => {
                    self.has_left = true;
                    return Progress::Left;
                }
                Poll::Pending => return Progress::None,
            }
        }
    }

    fn poll_read(&mut self, piece: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_PIECE {
            self.input.reserve(piece);
        }
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), context, &mut self.input));
        Poll::Ready(read)
    }
}
