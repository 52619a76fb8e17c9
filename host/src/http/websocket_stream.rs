//! The client of an open WebSocket: the frames of a connection.

use std::sync::Arc;

use atoll_plugin::abi::Buffer;
use atoll_plugin::protocol::WsKind;
use atoll_port::exchange::websocket::{self, Closed, WebSocketClient};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::websocket_liveness::{self, Liveness, Noted, PING, Silence};
use crate::dispatch::exchange::Exchange;
use crate::observe::metrics::Metrics;
use crate::observe::text;

/// The most bytes that a ping, a pong or a close may have (RFC 6455, section 5.5).
pub(crate) const MAX_CONTROL: usize = 125;

/// How much is read at once, in bytes. All of it is cleared before each read, and messages that an app keeps keep it; a
/// larger message has a separate buffer of its size.
const READ_BUFFER: usize = 4 * 1024;

/// Serves an open WebSocket until both sides have closed it. Messages of more than `message_limit` bytes close it with
/// the code 1009.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    exchange: Exchange,
    message_limit: usize,
    metrics: Arc<Metrics>,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(message_limit))
        .max_frame_size(Some(message_limit));
    let (stream, liveness) = websocket_liveness::watch(stream);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    websocket::serve(Client { socket, liveness, metrics }, exchange).await;
}

/// A client that is connected by frames.
struct Client<S> {
    socket: WebSocketStream<Noted<S>>,
    liveness: Liveness,
    /// Count the bytes of messages.
    metrics: Arc<Metrics>,
}

/// What comes from a client, or that nothing does.
enum Incoming {
    Message(Option<Result<Message, Error>>),
    Silence(Silence),
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketClient for Client<S> {
    type Incoming = Incoming;

    async fn next(&mut self) -> Incoming {
        tokio::select! {
            message = self.socket.next() => Incoming::Message(message),
            silence = self.liveness.silence() => Incoming::Silence(silence),
        }
    }

    async fn read(&mut self, incoming: Incoming) -> Result<Option<(WsKind, Bytes)>, Closed> {
        let message = match incoming {
            Incoming::Message(message) => message,
            // Finds out whether the client is still there, after nobody has sent anything for a while.
            Incoming::Silence(Silence::Ping) => {
                let ping = Message::Ping(Bytes::from_static(PING));
                self.socket.send(ping).await.map_err(|error| closed_by(&error))?;
                return Ok(None);
            }
            Incoming::Silence(Silence::Unanswered) => {
                return Err(by_host(CloseCode::Error, "the client has not answered a ping"));
            }
        };
        let message = match message {
            Some(Ok(Message::Text(text))) => (WsKind::Text, Bytes::from(text)),
            Some(Ok(Message::Binary(bytes))) => (WsKind::Binary, bytes),
            Some(Ok(Message::Ping(bytes))) => {
                // The answer is queued already.
                self.flush().await?;
                (WsKind::Ping, bytes)
            }
            Some(Ok(Message::Pong(bytes))) if bytes == PING => return Ok(None),
            Some(Ok(Message::Pong(bytes))) => (WsKind::Pong, bytes),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame
                    .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                return Err(Closed::ByClient(code, reason));
            }
            Some(Ok(Message::Frame(_))) => return Ok(None),
            Some(Err(error)) => return Err(closed_by(&error)),
            None => return Err(Closed::Lost),
        };
        self.metrics.received.add(message.1.len() as u64);
        Ok(Some(message))
    }

    async fn feed(&mut self, kind: WsKind, bytes: Buffer) -> Result<(), Closed> {
        let message = message(kind, bytes).map_err(|why| by_host(CloseCode::Error, why))?;
        self.metrics.sent.add(message.len() as u64);
        self.socket.feed(message).await.map_err(|error| closed_by(&error))
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        self.socket.flush().await.map_err(|error| closed_by(&error))
    }

    async fn close(mut self, code: u16, reason: &str) {
        let code = CloseCode::from(code);
        let frame = code.is_allowed().then(|| CloseFrame { code, reason: shortened(reason).into() });
        if self.socket.close(frame).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}

fn by_host(code: CloseCode, reason: &'static str) -> Closed {
    Closed::ByHost(code.into(), reason)
}

/// As much of a reason as has room in a frame beside its code.
fn shortened(reason: &str) -> &str {
    text::start(reason, MAX_CONTROL - 2)
}

/// What an app has sent as a message, or why it is none.
fn message(kind: WsKind, bytes: Buffer) -> Result<Message, &'static str> {
    let bytes = Bytes::from_owner(bytes);
    if matches!(kind, WsKind::Ping | WsKind::Pong) && bytes.len() > MAX_CONTROL {
        return Err("the app sent a ping or pong longer than 125 bytes");
    }
    Ok(match kind {
        WsKind::Text => {
            Message::Text(Utf8Bytes::try_from(bytes).map_err(|_| "the app sent text that is not UTF-8")?)
        }
        WsKind::Binary => Message::Binary(bytes),
        WsKind::Ping => Message::Ping(bytes),
        WsKind::Pong => Message::Pong(bytes),
    })
}

/// What a broken protocol, or a broken connection, means for the WebSocket.
fn closed_by(error: &Error) -> Closed {
    match error {
        Error::Protocol(_) => by_host(CloseCode::Protocol, "WebSocket protocol error"),
        Error::Utf8(_) => by_host(CloseCode::Invalid, "the text is not UTF-8"),
        Error::Capacity(_) => by_host(CloseCode::Size, "the message is too large"),
        _ => Closed::Lost,
    }
}
