//! Bodies and WebSockets.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::http::Header;

/// How much credit each direction of a stream begins with: what may be sent before the receiver has granted more by
/// [`method::BODY_CREDIT`](super::method::BODY_CREDIT). See [`piece_credit`].
pub const INITIAL_CREDIT: u64 = 256 * 1024;

/// The credit that a piece of a stream or a WebSocket message of so many bytes takes: its bytes, and 64 for the message
/// that carries them, so that empty ones have an end as well.
///
/// ```
/// use atoll_plugin::protocol::piece_credit;
/// assert_eq!((piece_credit(0), piece_credit(1000)), (64, 1064));
/// ```
pub const fn piece_credit(bytes: usize) -> u64 {
    64 + bytes as u64
}

/// Where a body is.
///
/// ```
/// use atoll_plugin::protocol::Body;
/// assert_eq!(serde_json::to_string(&Some(Body::Transfer(0))).unwrap(), r#"{"transfer":0}"#);
/// assert_eq!(serde_json::to_string(&None::<Body>).unwrap(), "null");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The whole body is the buffer with this index in the message's `transfer`.
    Transfer(usize),
    /// The body follows, piece by piece, as [`method::BODY_CHUNK`](super::method::BODY_CHUNK) with the number of the request.
    Stream(Yes),
    /// In an answer to a WebSocket handshake: the handshake is accepted, and [`method::WS_MESSAGE`](super::method::WS_MESSAGE) follow.
    Websocket(Yes),
}

impl Body {
    /// A body that follows piece by piece.
    pub const STREAM: Self = Self::Stream(Yes);
    /// A handshake that is accepted.
    pub const WEBSOCKET: Self = Self::Websocket(Yes);
}

/// `true`, where nothing else makes sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct Yes;

impl From<Yes> for bool {
    fn from(Yes: Yes) -> Self {
        true
    }
}

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value.then_some(Yes).ok_or("expected true")
    }
}

/// The parameters of [`method::BODY_CHUNK`](super::method::BODY_CHUNK).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The number of the request that the body belongs to.
    pub id: u64,
}

/// The parameters of [`method::BODY_END`](super::method::BODY_END).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyEnd<'a> {
    /// The number of the request that the body belongs to.
    pub id: u64,
    /// The trailers, in the form of headers; left out when there are none.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub trailers: Vec<Header<'a>>,
}

/// The parameters of [`method::BODY_ERROR`](super::method::BODY_ERROR).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyError<'a> {
    /// The number of the request that the body belongs to.
    pub id: u64,
    /// Why the body is incomplete.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

/// The parameters of [`method::BODY_CREDIT`](super::method::BODY_CREDIT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The number of the request that the stream belongs to.
    pub id: u64,
    /// How much more may be sent: see [`piece_credit`](super::piece_credit).
    pub bytes: u64,
}

/// The parameters of [`method::WS_MESSAGE`](super::method::WS_MESSAGE).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WsMessage {
    /// The number of the request that opened the WebSocket.
    pub id: u64,
    /// What kind of message it is.
    pub kind: WsKind,
}

/// The kinds of WebSocket messages (RFC 6455, section 5.6 and 5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WsKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// A ping, at most 125 bytes. The host answers a client's itself.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// The parameters of [`method::WS_CLOSE`](super::method::WS_CLOSE).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WsClose<'a> {
    /// The number of the request that opened the WebSocket.
    pub id: u64,
    /// The status code (RFC 6455, section 7.4); 1005: none was given; 1006: the connection was lost.
    pub code: u16,
    /// The reason, at most 123 bytes.
    #[serde(borrow, default)]
    pub reason: Cow<'a, str>,
}
