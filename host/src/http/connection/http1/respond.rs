//! The answer to a request.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::h1::Message;
use actix_http::{ConnectionType, Response};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{StatusCode, Version};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio_util::codec::Encoder;

use super::connection::Connection;
use super::input::Progress;
use crate::http::connection::transport::Transport;
use crate::http::trailers;

/// What the answer depends on beside itself.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) version: Version,
    /// All that follows on the connection is the request's.
    pub(super) takes_all: bool,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It continues with the next request.
    Next,
    /// It is closed; `unread` says that the client is still sending the request.
    Close { unread: bool },
    /// It is closed at once: the client has left, or has to see that the response is incomplete.
    Abort,
}

/// Adds trailers to a body whose end begins at this place, if it ends by a last chunk: they have no other place.
fn add_trailers(encoded: &mut BytesMut, end: usize, trailers: &HeaderMap) {
    if encoded[end..] != *b"0\r\n\r\n" {
        return;
    }
    encoded.truncate(encoded.len() - b"\r\n".len());
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            encoded.extend_from_slice(part);
        }
    }
    encoded.extend_from_slice(b"\r\n");
}

/// How far an answer's body has come.
struct Sending {
    body: BoxBody,
    /// How much of it is still to come, when that is known.
    left: Option<u64>,
    has_ended: bool,
}

impl<T: Transport> Connection<'_, T> {
    /// Writes an answer.
    pub(super) async fn respond(&mut self, response: Response<BoxBody>, asked: Asked) -> After {
        self.expects_continue = false;
        let (mut response, body) = response.into_parts();
        let size = body.size();
        let is_upgraded = asked.takes_all && response.status() == StatusCode::SWITCHING_PROTOCOLS;
        // HTTP/1.0 knows no chunks, and the codec makes none where all that follows is the request's: the end of the
        // connection is that of the body.
        let has_chunks = asked.version >= Version::HTTP_11 && !asked.takes_all;
        let until_close = size == BodySize::Stream && !has_chunks && !asked.is_head && !is_upgraded;
        let head = response.head_mut();
        // A response to HEAD has no body that could be in chunks.
        head.no_chunking(!has_chunks || asked.is_head);
        if !is_upgraded && (until_close || self.has_unread().await || self.shutdown.is_announced()) {
            head.set_connection_type(ConnectionType::Close);
        }
        let is_bodyless = asked.is_head
            || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || matches!(size, BodySize::None | BodySize::Sized(0));
        if self.encode_head(response, size).is_err() {
            return After::Abort;
        }
        let left = if let BodySize::Sized(bytes) = size { Some(bytes) } else { None };
        let mut sending = Sending { body, left, has_ended: is_bodyless };
        if poll_fn(|context| self.poll_send(&mut sending, context)).await.is_err() {
            if until_close {
                self.stream.break_off();
            }
            return After::Abort;
        }
        if self.has_left {
            return After::Abort;
        }
        let unread = self.body.is_some() || self.is_broken;
        self.body = None;
        if unread || is_upgraded || !self.codec.keep_alive() {
            return After::Close { unread: unread || !self.input.is_empty() };
        }
        After::Next
    }

    /// Whether a part of the request is still to come that its handler has not asked for.
    async fn has_unread(&mut self) -> bool {
        poll_fn(|context| {
            self.feed(context);
            Poll::Ready(self.body.is_some() || self.is_broken)
        })
        .await
    }

    pub(super) fn encode_head(&mut self, response: Response<()>, size: BodySize) -> io::Result<()> {
        self.codec.encode(Message::Item((response, size)), &mut self.output.encoded)
    }

    fn encode_piece(&mut self, sending: &mut Sending, mut piece: Bytes) -> io::Result<()> {
        let Some(left) = &mut sending.left else {
            return self.codec.encode(Message::Chunk(Some(piece)), &mut self.output.encoded);
        };
        // What is more than was announced would be taken for the next answer.
        piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= piece.len() as u64;
        self.output.push(piece);
        Ok(())
    }

    fn encode_end(&mut self, sending: &mut Sending, trailers: Option<&HeaderMap>) -> io::Result<()> {
        sending.has_ended = true;
        match sending.left {
            None => {
                let end = self.output.encoded.len();
                self.codec.encode(Message::Chunk(None), &mut self.output.encoded)?;
                if let Some(trailers) = trailers {
                    add_trailers(&mut self.output.encoded, end, trailers);
                }
                Ok(())
            }
            Some(0) => Ok(()),
            Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Writes the body, while the request's own body is still read.
    fn poll_send(&mut self, sending: &mut Sending, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut result = Ok(true);
            while !sending.has_ended && !self.output.is_full() {
                let (next, trailers) = trailers::catch(|| Pin::new(&mut sending.body).poll_next(context));
                match next {
                    Poll::Ready(Some(Ok(piece))) => result = self.encode_piece(sending, piece).map(|()| true),
                    Poll::Ready(None) => {
                        result = self.encode_end(sending, trailers.as_deref()).map(|()| true)
                    }
                    Poll::Ready(Some(Err(error))) => result = Err(io::Error::other(error.to_string())),
                    Poll::Pending => result = Ok(false),
                }
                if !matches!(result, Ok(true)) {
                    break;
                }
            }
            let has_more = result?;
            match self.poll_write(context) {
                Poll::Ready(Ok(())) if sending.has_ended => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if has_more => continue,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
            match self.receive(context) {
                Progress::Some => {}
                Progress::None => return Poll::Pending,
                // Nobody makes what nobody takes; what is there all the same is sent.
                Progress::Left if sending.left.is_none() => {
                    return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                }
                Progress::Left => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_follow_the_last_chunk_and_nothing_else() {
        let map = [("x-one", "1"), ("x-two", "2")];
        let trailers = map.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let trailers = HeaderMap::from_iter(trailers);
        let with_trailers = |encoded: &str| {
            let mut bytes = BytesMut::from("1\r\nx\r\n");
            let end = bytes.len();
            bytes.extend_from_slice(encoded.as_bytes());
            add_trailers(&mut bytes, end, &trailers);
            String::from_utf8(bytes[end..].to_vec()).unwrap()
        };
        assert_eq!(with_trailers("0\r\n\r\n"), "0\r\nx-one: 1\r\nx-two: 2\r\n\r\n");
        assert_eq!(with_trailers(""), "");
    }
}
