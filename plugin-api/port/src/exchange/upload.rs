//! A request's body on its way to the app.

use std::mem;
use std::task::{Context, Poll};
use std::time::Duration;

use atoll_protocol::{BodyEnd, BodyError, Header, INITIAL_CREDIT, method, piece_credit};
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::credit::with_grant;
use super::pace::Pace;
use super::request_body::{BodyPart, BodySource};
use super::trailers;
use crate::buffer;
use crate::reply::Answer;

/// Pieces of a body that are there at the same time. Each message costs as much as some small ones of them.
#[derive(Default)]
struct Joined {
    /// The first one, which is not copied when it stays the only one.
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    /// More bytes go by themselves.
    const LIMIT: usize = 16 * 1024;

    fn takes(&self, piece: &Bytes) -> bool {
        self.first.len() + self.all.len() + piece.len() <= Self::LIMIT
    }

    fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = piece;
            return;
        }
        self.all.extend_from_slice(&mem::take(&mut self.first));
        self.all.extend_from_slice(&piece);
    }

    fn take(&mut self) -> Option<Bytes> {
        let bytes = if self.all.is_empty() { mem::take(&mut self.first) } else { self.all.split().freeze() };
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// A body that is being sent to the app, as the app takes it.
pub(super) struct Upload {
    source: BodySource,
    /// What may be sent; below zero when the last piece was larger.
    credit: i64,
    last_sent: Option<Instant>,
    pace: Pace,
}

impl Upload {
    pub(super) fn new(source: BodySource, timeout: Duration) -> Self {
        Self { source, credit: INITIAL_CREDIT as i64, last_sent: None, pace: Pace::new(timeout) }
    }

    /// Sends what there is, as far as the app takes it; ready when all is sent.
    pub(super) fn poll_send(&mut self, answer: &Answer, context: &mut Context<'_>) -> Poll<()> {
        let id = answer.id();
        let mut joined = Joined::default();
        let mut send = |joined: &mut Joined, credit: &mut i64| {
            if let Some(bytes) = joined.take() {
                // Its bytes were taken off when they came.
                *credit = credit.saturating_sub_unsigned(piece_credit(0));
                self.last_sent = Some(Instant::now());
                answer.send_chunk(buffer::from_bytes(bytes));
            }
        };
        let end = |trailers: Vec<Header<'_>>| answer.send(BodyEnd { id, trailers }.message(), Vec::new());
        while self.credit > 0 {
            let next = self.source.as_mut().poll_next(context);
            // What has been joined does not wait for more than is there, and keeps its place.
            let joins = matches!(&next, Poll::Ready(Some(Ok(BodyPart::Data(bytes)))) if joined.takes(bytes));
            if !joins {
                send(&mut joined, &mut self.credit);
            }
            match next {
                Poll::Pending => {
                    self.pace.wait(Instant::now());
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(BodyPart::Data(bytes)))) => {
                    self.pace.came(bytes.len(), Instant::now());
                    self.credit = self.credit.saturating_sub_unsigned(bytes.len() as u64);
                    joined.push(bytes);
                }
                Poll::Ready(Some(Ok(BodyPart::Trailers(trailers)))) => {
                    self.last_sent = Some(Instant::now());
                    end(trailers::of_client(trailers));
                    return Poll::Ready(());
                }
                Poll::Ready(Some(Err(message))) => {
                    let error = BodyError { id, message: message.into() };
                    answer.notify(method::BODY_ERROR, error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {
                    self.last_sent = Some(Instant::now());
                    end(Vec::new());
                    return Poll::Ready(());
                }
            }
        }
        send(&mut joined, &mut self.credit);
        self.pace.pause(Instant::now());
        Poll::Pending
    }

    /// Notes that the app takes more.
    pub(super) fn grant(&mut self, credit: u64) {
        self.credit = with_grant(self.credit, credit);
    }

    /// Whether the app takes more.
    pub(super) fn has_credit(&self) -> bool {
        self.credit > 0
    }

    /// How fast the client sends it.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// When something was sent last.
    pub(super) fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_joined_in_order_and_one_alone_is_not_copied() {
        let mut joined = Joined::default();
        assert_eq!(joined.take(), None);
        for round in 0..2_u8 {
            let only = Bytes::from(vec![round; 3]);
            let place = only.as_ptr();
            joined.push(only);
            assert_eq!(joined.take().map(|bytes| bytes.as_ptr()), Some(place));
            for piece in ["one", "", " two", " three"] {
                assert!(joined.takes(&piece.into()));
                joined.push(piece.into());
            }
            assert_eq!(joined.take(), Some("one two three".into()));
            assert_eq!(joined.take(), None);
        }
        joined.push(vec![0; Joined::LIMIT].into());
        assert!(!joined.takes(&"x".into()) && joined.takes(&Bytes::new()));
    }
}
