//! An open WebSocket between a client and an app: frames on one side, messages of the port's protocol on the other.

use std::time::Duration;

use atoll_plugin::abi::Buffer;
use atoll_plugin::protocol::{INITIAL_CREDIT, WsClose, WsKind, WsMessage, method, piece_credit};
use atoll_port::{ReplyEvent, WorkerGone};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::websocket_liveness::{self, Liveness, Noted, PING, Silence};
use crate::dispatch::exchange::{Exchange, with_grant};
use crate::memory::buffer;
use crate::observe::text;

/// How long the other side may take to close, once one side has.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

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
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(message_limit))
        .max_frame_size(Some(message_limit));
    let (stream, liveness) = websocket_liveness::watch(stream);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let ending = exchange.in_flight().shutdown().endless_cancelled();
    let mut bridge = Bridge { socket, liveness, exchange, credit: INITIAL_CREDIT as i64, taken: 0 };
    let closed = tokio::select! {
        closed = bridge.run() => closed,
        () = ending => Closed::ByHost(CloseCode::Restart, "the app is being replaced"),
    };
    bridge.close(closed).await;
}

struct Bridge<S> {
    socket: WebSocketStream<Noted<S>>,
    liveness: Liveness,
    exchange: Exchange,
    /// How much the app takes.
    credit: i64,
    /// The credit of what was taken since the app was last granted some.
    taken: u64,
}

/// Who closed it, and how.
enum Closed {
    ByApp(u16, String),
    ByClient(u16, String),
    ByHost(CloseCode, &'static str),
    /// The connection is gone.
    Lost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Bridge<S> {
    async fn run(&mut self) -> Closed {
        loop {
            let step = tokio::select! {
                event = self.exchange.event() => self.app_sent(event).await,
                message = self.socket.next(), if self.credit > 0 => self.client_sent(message).await,
                // Without credit the client is not listened to.
                silence = self.liveness.silence(), if self.credit > 0 => self.nobody_sent(silence).await,
            };
            if let Err(closed) = step {
                return closed;
            }
        }
    }

    /// Finds out whether the client is still there, after nobody has sent anything for a while.
    async fn nobody_sent(&mut self, silence: Silence) -> Result<(), Closed> {
        match silence {
            Silence::Ping => {
                let ping = Message::Ping(Bytes::from_static(PING));
                self.socket.send(ping).await.map_err(|error| closed_by(&error))
            }
            Silence::Unanswered => {
                Err(Closed::ByHost(CloseCode::Error, "the client has not answered a ping"))
            }
        }
    }

    /// Sends on what the app has sent, and all that has come with it.
    async fn app_sent(&mut self, event: Result<ReplyEvent, WorkerGone>) -> Result<(), Closed> {
        let mut next = Some(event);
        while let Some(event) = next {
            match event {
                Ok(ReplyEvent::WsMessage(kind, bytes)) => {
                    self.taken += piece_credit(bytes.len());
                    let message =
                        message(kind, bytes).map_err(|why| Closed::ByHost(CloseCode::Error, why))?;
                    self.socket.feed(message).await.map_err(|error| closed_by(&error))?;
                }
                Ok(ReplyEvent::Credit(bytes)) => {
                    self.credit = with_grant(self.credit, bytes);
                }
                Ok(ReplyEvent::WsClose(code, reason)) => return Err(Closed::ByApp(code, reason)),
                // After its handshake an app has nothing else to say but that its handler has failed.
                Ok(_) | Err(WorkerGone { .. }) => {
                    return Err(Closed::ByHost(CloseCode::Error, "the app failed"));
                }
            }
            next = self.exchange.event().now_or_never();
        }
        self.socket.flush().await.map_err(|error| closed_by(&error))?;
        if self.taken >= INITIAL_CREDIT / 2 {
            let bytes = std::mem::take(&mut self.taken);
            self.exchange.answer().grant(bytes);
        }
        Ok(())
    }

    async fn client_sent(&mut self, message: Option<Result<Message, Error>>) -> Result<(), Closed> {
        let (kind, bytes) = match message {
            Some(Ok(Message::Text(text))) => (WsKind::Text, Bytes::from(text)),
            Some(Ok(Message::Binary(bytes))) => (WsKind::Binary, bytes),
            Some(Ok(Message::Ping(bytes))) => {
                // The answer is queued already.
                self.socket.flush().await.map_err(|error| closed_by(&error))?;
                (WsKind::Ping, bytes)
            }
            Some(Ok(Message::Pong(bytes))) if bytes == PING => return Ok(()),
            Some(Ok(Message::Pong(bytes))) => (WsKind::Pong, bytes),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame
                    .map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                return Err(Closed::ByClient(code, reason));
            }
            Some(Ok(Message::Frame(_))) => return Ok(()),
            Some(Err(error)) => return Err(closed_by(&error)),
            None => return Err(Closed::Lost),
        };
        self.credit = self.credit.saturating_sub_unsigned(piece_credit(bytes.len()));
        let id = self.exchange.answer().id();
        let message = WsMessage { id, kind }.message();
        self.exchange.answer().send(message, vec![buffer::from_bytes(bytes)]);
        Ok(())
    }

    /// Closes both sides.
    async fn close(mut self, closed: Closed) {
        // A client or an app that does not take part any more has nothing to be told.
        match closed {
            Closed::Lost => {}
            Closed::ByClient(code, reason) => {
                // The answer to the client's close is queued already.
                let _ = timeout(CLOSE_TIMEOUT, self.socket.flush()).await;
                self.tell_app(code, &reason);
                let _ = timeout(CLOSE_TIMEOUT, self.app_ends()).await;
            }
            Closed::ByApp(code, reason) => {
                self.exchange.answer().over();
                self.close_client(code.into(), &reason).await;
            }
            Closed::ByHost(code, reason) => {
                self.tell_app(code.into(), reason);
                let _ = timeout(CLOSE_TIMEOUT, self.app_ends()).await;
                self.close_client(code, reason).await;
            }
        }
    }

    fn tell_app(&mut self, code: u16, reason: &str) {
        let id = self.exchange.answer().id();
        let close = WsClose { id, code, reason: reason.into() };
        self.exchange.answer().notify(method::WS_CLOSE, close);
    }

    /// Waits until the app's handler has returned.
    async fn app_ends(&mut self) {
        loop {
            match self.exchange.event().await {
                Ok(ReplyEvent::WsMessage(..) | ReplyEvent::Credit(_)) => {}
                Ok(_) | Err(WorkerGone { .. }) => break self.exchange.answer().over(),
            }
        }
    }

    /// Sends a close, and waits for the client's. The app has no part in it, and may be replaced meanwhile.
    async fn close_client(self, code: CloseCode, reason: &str) {
        let Self { mut socket, exchange, .. } = self;
        drop(exchange);
        let frame = code.is_allowed().then(|| CloseFrame { code, reason: shortened(reason).into() });
        let answered = async {
            socket.close(frame).await?;
            while socket.next().await.transpose()?.is_some() {}
            Ok::<_, Error>(())
        };
        // Whether the client answers is its own affair.
        let _ = timeout(CLOSE_TIMEOUT, answered).await;
    }
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
        Error::Protocol(_) => Closed::ByHost(CloseCode::Protocol, "WebSocket protocol error"),
        Error::Utf8(_) => Closed::ByHost(CloseCode::Invalid, "the text is not UTF-8"),
        Error::Capacity(_) => Closed::ByHost(CloseCode::Size, "the message is too large"),
        _ => Closed::Lost,
    }
}
