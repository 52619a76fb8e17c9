//! Both directions of the streams of one request, shared by the worker's loop and handlers on any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use serde::Serialize;

use super::credit::{Closed, Credit};
use super::inbox::Inbox;
use super::waiters::Place;
use crate::abi::Buffer;
use crate::abi::port::Port;
use crate::protocol::{
    self, BodyEnd, Header, INITIAL_CREDIT, WsClose, WsKind, WsMessage, method, piece_credit,
};
use atoll_protocol::Error;

/// What comes in on a stream.
#[derive(Debug)]
pub(crate) enum Item {
    Chunk(Buffer),
    /// The last one of a body.
    #[cfg_attr(not(feature = "tower"), expect(dead_code, reason = "an `Application` has no place for them"))]
    Trailers(Vec<Header<'static>>),
    Message(WsKind, Buffer),
    Close(u16, String),
}

impl Item {
    fn credit(&self) -> u64 {
        match self {
            Self::Chunk(bytes) | Self::Message(_, bytes) => piece_credit(bytes.len()),
            Self::Trailers(_) | Self::Close(..) => 0,
        }
    }
}

/// The streams of one request.
pub(crate) struct Channel {
    id: u64,
    port: Port,
    incoming: Inbox<Item, Error>,
    /// The credit of what was taken out since the host was last granted some.
    taken: AtomicU64,
    outgoing: Credit,
}

impl Channel {
    /// The streams of the host's request `id`.
    pub(crate) fn new(id: u64, port: Port) -> Self {
        Self {
            id,
            port,
            incoming: Inbox::default(),
            taken: AtomicU64::new(0),
            outgoing: Credit::new(INITIAL_CREDIT),
        }
    }

    pub(crate) fn port(&self) -> &Port {
        &self.port
    }

    /// Takes in what the host has sent.
    pub(crate) fn deliver(&self, item: Item) {
        self.incoming.put(item);
    }

    /// Notes that nothing more will come in, and why.
    pub(crate) fn end(&self, how: Result<(), Error>) {
        self.incoming.end(how);
    }

    /// Notes that more may be sent.
    pub(crate) fn grant(&self, credit: u64) {
        self.outgoing.grant(credit);
    }

    /// Ends both directions: the request is no longer pending.
    pub(crate) fn close(&self, why: &str) {
        self.end(Err(Error::new(499, why)));
        self.outgoing.close();
    }

    /// Waits until something may be sent.
    ///
    /// # Errors
    /// Nothing will be: the request is over.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        self.outgoing.spend(0).await.map_err(nobody_receives)
    }

    /// Sends a piece of a body, when it is [`ready`](Self::ready).
    pub(crate) fn send_chunk(&self, chunk: Buffer) {
        self.outgoing.take(piece_credit(chunk.len()));
        self.send(protocol::Stream { id: self.id }.chunk_message(), vec![chunk]);
    }

    /// Ends the outgoing body.
    pub(crate) fn send_end(&self) {
        self.send_trailers(Vec::new());
    }

    /// Ends the outgoing body, with these trailers.
    pub(crate) fn send_trailers(&self, trailers: Vec<Header<'_>>) {
        self.send(BodyEnd { id: self.id, trailers }.message(), Vec::new());
    }

    /// Ends the outgoing body before it is complete.
    pub(crate) fn send_error(&self, message: &str) {
        self.notify(method::BODY_ERROR, protocol::BodyError { id: self.id, message: message.into() });
    }

    /// Sends a WebSocket message, when the client has taken enough of what was sent before.
    ///
    /// # Errors
    /// The request is over.
    pub(crate) async fn send_message(&self, kind: WsKind, bytes: Buffer) -> Result<(), Error> {
        self.outgoing.spend(piece_credit(bytes.len())).await.map_err(nobody_receives)?;
        self.send(WsMessage { id: self.id, kind }.message(), vec![bytes]);
        Ok(())
    }

    /// Closes the WebSocket.
    pub(crate) fn send_close(&self, code: u16, reason: &str) {
        self.notify(method::WS_CLOSE, WsClose { id: self.id, code, reason: reason.into() });
    }

    /// # Errors
    /// The request is over: nobody receives what is sent.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.outgoing.is_closed() { Err(nobody_receives(Closed)) } else { Ok(()) }
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

fn nobody_receives(Closed: Closed) -> Error {
    Error::new(499, "the receiver of this stream is gone")
}

/// One of those who receive what comes in on a stream.
pub(crate) struct Receiver {
    channel: Arc<Channel>,
    place: Place,
}

impl Receiver {
    pub(crate) fn new(channel: Arc<Channel>) -> Self {
        Self { channel, place: Place::default() }
    }

    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The next thing that has come in; `None` at the end.
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Item, Error>>> {
        let Self { channel, place } = self;
        let next = ready!(channel.incoming.poll_next(place, context));
        if let Some(Ok(item)) = &next {
            let credit = item.credit();
            let taken = channel.taken.fetch_add(credit, Ordering::Relaxed) + credit;
            if taken >= INITIAL_CREDIT / 2 && channel.incoming.is_open() {
                let bytes = channel.taken.swap(0, Ordering::Relaxed);
                channel.send(protocol::Credit { id: channel.id, bytes }.message(), Vec::new());
            }
        }
        Poll::Ready(next)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.channel.incoming.leave(&mut self.place);
    }
}
