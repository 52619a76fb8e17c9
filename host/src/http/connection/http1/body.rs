//! The body of a request, between its connection and the handler.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;

use crate::http::connection::limits::MAX_BODY_AHEAD;
use crate::http::trailers;

/// How a body ends: with its trailers, or before it is complete.
pub(super) type End = Result<Option<Box<HeaderMap>>, PayloadError>;

#[derive(Default)]
struct Body {
    pieces: VecDeque<Bytes>,
    /// Of the pieces, each with what it takes itself.
    bytes: usize,
    end: Option<End>,
    /// Whether the handler has asked for more than there was.
    asked: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// The connection's end.
pub(super) struct Sender(Rc<RefCell<Body>>);

/// The handler's end.
pub(super) struct Receiver(Rc<RefCell<Body>>);

/// What the handler wants of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// More of it.
    More,
    /// No more for now.
    Full,
    /// No more at all.
    Dropped,
}

/// A body that is to come.
pub(super) fn body() -> (Sender, Receiver) {
    let body = Rc::<RefCell<Body>>::default();
    (Sender(body.clone()), Receiver(body))
}

/// Wakes a task, unless it is the one that runs: that looks by itself.
fn wake(waiting: &mut Option<Waker>, context: &Context<'_>) {
    if let Some(waker) = waiting.take_if(|waker| !waker.will_wake(context.waker())) {
        waker.wake();
    }
}

fn wait(waiting: &mut Option<Waker>, context: &Context<'_>) {
    if !waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        *waiting = Some(context.waker().clone());
    }
}

impl Sender {
    /// What the handler wants. The task is woken when that changes.
    pub(super) fn demand(&self, context: &Context<'_>) -> Demand {
        if Rc::strong_count(&self.0) == 1 {
            return Demand::Dropped;
        }
        let mut body = self.0.borrow_mut();
        wait(&mut body.connection, context);
        if body.bytes < MAX_BODY_AHEAD { Demand::More } else { Demand::Full }
    }

    /// Whether the handler has asked for more than there was.
    pub(super) fn is_asked(&self) -> bool {
        self.0.borrow().asked
    }

    /// Hands over a piece.
    pub(super) fn send(&self, piece: Bytes, context: &Context<'_>) {
        let mut body = self.0.borrow_mut();
        body.bytes += piece.len() + size_of::<Bytes>();
        body.pieces.push_back(piece);
        wake(&mut body.reader, context);
    }

    /// Ends the body.
    pub(super) fn finish(self, end: End, context: &Context<'_>) {
        let mut body = self.0.borrow_mut();
        body.end = Some(end);
        wake(&mut body.reader, context);
        body.reader = None;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut body = self.0.borrow_mut();
        body.end.get_or_insert(Err(PayloadError::Incomplete(None)));
        if let Some(waker) = body.reader.take() {
            waker.wake();
        }
    }
}

impl Stream for Receiver {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.borrow_mut();
        if let Some(piece) = body.pieces.pop_front() {
            body.bytes -= piece.len() + size_of::<Bytes>();
            wake(&mut body.connection, context);
            return Poll::Ready(Some(Ok(piece)));
        }
        match &mut body.end {
            Some(end) => match std::mem::replace(end, Ok(None)) {
                Err(error) => Poll::Ready(Some(Err(error))),
                Ok(trailers) => {
                    if let Some(trailers) = trailers {
                        trailers::hand_over(trailers);
                    }
                    Poll::Ready(None)
                }
            },
            None => {
                body.asked = true;
                wait(&mut body.reader, context);
                wake(&mut body.connection, context);
                Poll::Pending
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(waker) = self.0.borrow_mut().connection.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn pieces_come_in_order_and_then_the_end() {
        let (sender, mut receiver) = body();
        assert!(receiver.next().now_or_never().is_none() && sender.is_asked());
        for piece in ["one", "two"] {
            sender.send(piece.into(), &context());
        }
        assert_eq!(receiver.next().now_or_never().unwrap().unwrap().unwrap(), "one");
        sender.finish(Ok(None), &context());
        assert_eq!(receiver.next().now_or_never().unwrap().unwrap().unwrap(), "two");
        assert!(receiver.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_body_that_is_cut_off_is_an_error() {
        let (sender, mut receiver) = body();
        drop(sender);
        assert!(receiver.next().now_or_never().unwrap().unwrap().is_err());
        assert!(receiver.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn no_more_is_wanted_than_the_limit() {
        let (sender, mut receiver) = body();
        sender.send(vec![0; MAX_BODY_AHEAD - size_of::<Bytes>() - 1].into(), &context());
        assert_eq!(sender.demand(&context()), Demand::More);
        sender.send("x".into(), &context());
        assert_eq!(sender.demand(&context()), Demand::Full);
        assert!(receiver.next().now_or_never().is_some());
        assert_eq!(sender.demand(&context()), Demand::More);
        drop(receiver);
        assert_eq!(sender.demand(&context()), Demand::Dropped);
    }

    #[test]
    fn small_pieces_count_with_what_they_take() {
        let (sender, _receiver) = body();
        let mut pieces = 0;
        while sender.demand(&context()) == Demand::More {
            sender.send("x".into(), &context());
            pieces += 1;
        }
        assert!(pieces <= MAX_BODY_AHEAD / size_of::<Bytes>(), "{pieces}");
    }
}
