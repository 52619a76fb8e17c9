//! Both directions of the streams of one request, shared by the worker's loop and a handler on any thread.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::Serialize;

use crate::abi::Buffer;
use crate::error::Error;
use crate::port::Port;
use crate::protocol::{self, INITIAL_CREDIT, WsClose, WsKind, WsMessage, method};

/// What comes in on a stream.
#[derive(Debug)]
pub(crate) enum Item {
    Chunk(Buffer),
    Message(WsKind, Buffer),
    Close(u16, String),
}

impl Item {
    fn len(&self) -> u64 {
        match self {
            Self::Chunk(bytes) | Self::Message(_, bytes) => bytes.len() as u64,
            Self::Close(..) => 0,
        }
    }
}

/// The streams of one request.
pub(crate) struct Channel {
    id: u64,
    port: Port,
    state: Mutex<State>,
}

struct State {
    inbox: VecDeque<Item>,
    /// How the incoming direction has ended.
    ended: Option<Result<(), Error>>,
    reader: Option<Waker>,
    /// Bytes taken out since the host was last granted credit.
    taken: u64,
    /// How many bytes may be sent; below zero when the last piece was larger.
    credit: i64,
    writer: Option<Waker>,
    /// The request is over: nothing can be sent.
    closed: bool,
}

impl Channel {
    /// The streams of the host's request `id`.
    pub(crate) fn new(id: u64, port: Port) -> Self {
        let state = State {
            inbox: VecDeque::new(),
            ended: None,
            reader: None,
            taken: 0,
            credit: INITIAL_CREDIT as i64,
            writer: None,
            closed: false,
        };
        Self { id, port, state: Mutex::new(state) }
    }

    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the host has sent.
    pub(crate) fn deliver(&self, item: Item) {
        let mut state = self.state();
        if state.ended.is_none() {
            state.inbox.push_back(item);
            wake(state.reader.take());
        }
    }

    /// Notes that nothing more will come in, and why.
    pub(crate) fn end(&self, how: Result<(), Error>) {
        let mut state = self.state();
        state.ended.get_or_insert(how);
        wake(state.reader.take());
    }

    /// Notes that `bytes` more may be sent.
    pub(crate) fn grant(&self, bytes: u64) {
        let mut state = self.state();
        state.credit = state.credit.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        wake(state.writer.take());
    }

    /// Ends both directions: nobody waits for the request any more.
    pub(crate) fn close(&self, why: &str) {
        self.end(Err(Error::new(499, why)));
        let mut state = self.state();
        state.closed = true;
        wake(state.writer.take());
    }

    /// The next thing that has come in; `None` at the end.
    pub(crate) fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        let mut state = self.state();
        let Some(item) = state.inbox.pop_front() else {
            return match &mut state.ended {
                Some(how) => Poll::Ready(std::mem::replace(how, Ok(())).err().map(Err)),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        state.taken += item.len();
        if state.taken >= INITIAL_CREDIT / 2 && state.ended.is_none() {
            let bytes = std::mem::take(&mut state.taken);
            drop(state);
            self.send(protocol::Credit { id: self.id, bytes }.message(), Vec::new());
        }
        Poll::Ready(Some(Ok(item)))
    }

    /// Whether something may be sent now.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(Err(Error::new(499, "nobody receives this stream any more")));
        }
        if state.credit > 0 {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Sends a piece of a body, after [`poll_ready`](Self::poll_ready).
    pub(crate) fn send_chunk(&self, chunk: Buffer) {
        self.spend(chunk.len());
        self.send(protocol::Stream { id: self.id }.chunk_message(), vec![chunk]);
    }

    /// Ends the outgoing body.
    pub(crate) fn send_end(&self) {
        self.notify(method::BODY_END, protocol::Stream { id: self.id });
    }

    /// Ends the outgoing body before it is complete.
    pub(crate) fn send_error(&self, message: &str) {
        self.notify(method::BODY_ERROR, protocol::BodyError { id: self.id, message: message.into() });
    }

    /// Sends a WebSocket message, after [`poll_ready`](Self::poll_ready).
    pub(crate) fn send_message(&self, kind: WsKind, bytes: Buffer) {
        self.spend(bytes.len());
        self.send(WsMessage { id: self.id, kind }.message(), vec![bytes]);
    }

    /// Closes the WebSocket.
    pub(crate) fn send_close(&self, code: u16, reason: &str) {
        self.notify(method::WS_CLOSE, WsClose { id: self.id, code, reason: reason.into() });
    }

    fn spend(&self, bytes: usize) {
        let mut state = self.state();
        state.credit = state.credit.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn notify(&self, method: &str, params: impl Serialize) {
        // As for `send`.
        let _ = self.port.send(&protocol::Request::notification(method, params), Vec::new());
    }

    fn send(&self, message: Vec<u8>, transfer: Vec<Buffer>) {
        // A port that is closed has ended the request as well.
        let _ = self.port.send_json(message, transfer);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
