//! WebSockets (RFC 6455).

mod handshake;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::future::LocalBoxFuture;

use crate::abi::Buffer;
use crate::http::stream::{Channel, Chunk, Item, Receiver};
use crate::protocol::WsKind;
use atoll_protocol::Error;

/// The most bytes that a ping or a pong may have (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

/// A WebSocket message.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Binary(Chunk),
    /// A ping. The host has already responded.
    Ping(Chunk),
    /// The answer to a ping.
    Pong(Chunk),
    /// The client closes the WebSocket with a status code (RFC 6455, section 7.4) and a reason; it is the last message.
    /// Code 1005: no code was sent; 1006: the connection was lost.
    Close(u16, String),
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Chunk>) -> Self {
        Self::Binary(bytes.into())
    }

    pub(crate) fn into_parts(self) -> Result<(WsKind, Chunk), (u16, String)> {
        match self {
            Self::Text(text) => Ok((WsKind::Text, text.into())),
            Self::Binary(bytes) => Ok((WsKind::Binary, bytes)),
            Self::Ping(bytes) => Ok((WsKind::Ping, bytes)),
            Self::Pong(bytes) => Ok((WsKind::Pong, bytes)),
            Self::Close(code, reason) => Err((code, reason)),
        }
    }

    pub(crate) fn of(item: Item) -> Self {
        // The host sends valid text, and whether it is valid is seen faster than what of it is.
        let text = |bytes: Buffer| match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        match item {
            Item::Message(WsKind::Text, bytes) => Self::Text(text(bytes)),
            Item::Message(WsKind::Binary, bytes) | Item::Chunk(bytes) => Self::Binary(bytes.into()),
            Item::Message(WsKind::Ping, bytes) => Self::Ping(bytes.into()),
            Item::Message(WsKind::Pong, bytes) => Self::Pong(bytes.into()),
            Item::Close(code, reason) => Self::Close(code, reason),
            // A WebSocket has none, which the host does not send.
            Item::Trailers(_) => Self::Close(1002, String::new()),
        }
    }
}

/// An open WebSocket: receives messages from the client and sends messages to it.
///
/// It is made by [`Request::websocket`](crate::Request::websocket). Its handler ends it by returning; a handler that is dropped, because the client
/// is gone or the app is being replaced, does so, too.
pub struct WebSocket {
    incoming: Receiver,
    closed: bool,
}

pub(crate) type Serve = Box<dyn FnOnce(WebSocket) -> LocalBoxFuture<'static, ()>>;

impl WebSocket {
    pub(crate) fn new(channel: Arc<Channel>) -> Self {
        Self { incoming: Receiver::new(channel), closed: false }
    }

    /// Waits for the next message; `None` if the WebSocket is closed.
    pub async fn receive(&mut self) -> Option<Message> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Sends a message, after the client has read enough of the previous ones. [`Message::Close`] closes the WebSocket.
    ///
    /// # Errors
    /// The client is gone, or a ping or pong has more than 125 bytes (RFC 6455, section 5.5).
    pub async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.sender().send(message).await
    }

    /// A separate handle for sending.
    pub fn sender(&self) -> Sender {
        Sender { channel: self.incoming.channel().clone() }
    }

    /// Closes the WebSocket with a status code and a reason, which is truncated to 123 bytes.
    pub fn close(mut self, code: u16, reason: &str) {
        self.closed = true;
        self.incoming.channel().send_close(code, reason);
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        if !self.closed {
            let (code, reason) = if std::thread::panicking() { (1011, "the app failed") } else { (1000, "") };
            self.incoming.channel().send_close(code, reason);
        }
    }
}

impl Stream for WebSocket {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        // An error says only that the client is gone.
        Poll::Ready(ready!(self.incoming.poll_receive(context)).and_then(Result::ok).map(Message::of))
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocket")
    }
}

/// Sends on a [`WebSocket`], from any thread.
#[derive(Clone)]
pub struct Sender {
    channel: Arc<Channel>,
}

impl Sender {
    /// Sends a message: see [`WebSocket::send`]. Any number of tasks can wait here.
    ///
    /// # Errors
    /// The client is gone, or a ping or pong has more than 125 bytes (RFC 6455, section 5.5).
    pub async fn send(&self, message: Message) -> Result<(), Error> {
        if let Message::Ping(bytes) | Message::Pong(bytes) = &message
            && bytes.len() > MAX_CONTROL
        {
            let length = bytes.len();
            return Err(Error::internal(format!(
                "a ping can have at most {MAX_CONTROL} bytes, this one has {length}"
            )));
        }
        match message.into_parts() {
            Ok((kind, bytes)) => {
                let bytes = bytes.into_buffer(self.channel.port()).unwrap_or_default();
                self.channel.send_message(kind, bytes).await
            }
            // Nobody waits for a client to take what it has, to close it.
            Err((code, reason)) => {
                self.channel.send_close(code, &reason);
                self.channel.check_open()
            }
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
