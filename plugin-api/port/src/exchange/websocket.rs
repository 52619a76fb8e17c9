//! An open WebSocket between a client and an app: messages of the port's protocol on the app's side, a
//! [`WebSocketClient`] on the other.

use std::time::Duration;

use atoll_protocol::abi::Buffer;
use atoll_protocol::{INITIAL_CREDIT, WsClose, WsKind, WsMessage, method, piece_credit};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::credit::with_grant;
use super::pending::Exchange;
use crate::buffer;
use crate::generation::Generation;
use crate::reply_queue::WorkerGone;
use crate::worker_message::ReplyEvent;

/// How long the other side may take to close, once one side has.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The code and the reason when an app is replaced.
const REPLACED: (u16, &str) = (1012, "the app is being replaced");

/// The code and the reason when an app does not close a WebSocket itself.
const FAILED: (u16, &str) = (1011, "the app failed");

/// Who closed a WebSocket, with the code and the reason.
#[derive(Debug)]
pub enum Closed {
    /// The app.
    ByApp(u16, String),
    /// The client.
    ByClient(u16, String),
    /// The host, because of what one of them did, or because the app is replaced.
    ByHost(u16, &'static str),
    /// Nobody: the connection is gone.
    Lost,
}

/// The client of a WebSocket.
pub trait WebSocketClient {
    /// What comes from the client.
    type Incoming;

    /// Waits for the client. This is not polled while the app takes nothing.
    ///
    /// Cancel safe: dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Self::Incoming>;

    /// The message that has come from the client, if it is one for the app.
    ///
    /// # Errors
    /// The WebSocket ends.
    fn read(
        &mut self,
        incoming: Self::Incoming,
    ) -> impl Future<Output = Result<Option<(WsKind, Bytes)>, Closed>>;

    /// Takes a message for the client, which may wait for [`flush`](Self::flush).
    ///
    /// # Errors
    /// The WebSocket ends.
    fn feed(&mut self, kind: WsKind, bytes: Buffer) -> impl Future<Output = Result<(), Closed>>;

    /// Sends the client what waits.
    ///
    /// # Errors
    /// The WebSocket ends.
    fn flush(&mut self) -> impl Future<Output = Result<(), Closed>>;

    /// Closes the client's side, and waits for the client's close.
    fn close(self, code: u16, reason: &str) -> impl Future<Output = ()>;
}

/// Serves an open WebSocket until both sides have closed it.
pub async fn serve<C: WebSocketClient, G: Generation>(client: C, exchange: Exchange<G>) {
    let ending = exchange.in_flight().requests().shutdown().endless_cancelled();
    let mut bridge = Bridge { client, exchange, credit: INITIAL_CREDIT as i64, taken: 0, app_ended: false };
    let closed = tokio::select! {
        closed = bridge.run() => closed,
        () = ending => Closed::ByHost(REPLACED.0, REPLACED.1),
    };
    bridge.close(closed).await;
}

struct Bridge<C, G: Generation> {
    client: C,
    exchange: Exchange<G>,
    /// How much the app takes.
    credit: i64,
    /// The credit of what was taken since the app was last granted some.
    taken: u64,
    /// Nothing more will come from the app.
    app_ended: bool,
}

impl<C: WebSocketClient, G: Generation> Bridge<C, G> {
    async fn run(&mut self) -> Closed {
        loop {
            let step = tokio::select! {
                event = self.exchange.event() => self.app_sent(event).await,
                // Without credit the client is not listened to.
                incoming = self.client.next(), if self.credit > 0 => self.client_sent(incoming).await,
            };
            if let Err(closed) = step {
                return closed;
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
                    self.client.feed(kind, bytes).await?;
                }
                Ok(ReplyEvent::Credit(bytes)) => self.credit = with_grant(self.credit, bytes),
                Ok(ReplyEvent::WsClose(code, reason)) => return Err(Closed::ByApp(code, reason)),
                // After its handshake an app has nothing else to say but that its handler has failed.
                Ok(_) | Err(WorkerGone { .. }) => {
                    self.app_ended = true;
                    return Err(Closed::ByHost(FAILED.0, FAILED.1));
                }
            }
            next = self.exchange.event().now_or_never();
        }
        self.client.flush().await?;
        if self.taken >= INITIAL_CREDIT / 2 {
            let bytes = std::mem::take(&mut self.taken);
            self.exchange.answer().grant(bytes);
        }
        Ok(())
    }

    /// Sends the app what the client has sent.
    async fn client_sent(&mut self, incoming: C::Incoming) -> Result<(), Closed> {
        let Some((kind, bytes)) = self.client.read(incoming).await? else { return Ok(()) };
        self.credit = self.credit.saturating_sub_unsigned(piece_credit(bytes.len()));
        let answer = self.exchange.answer();
        answer.send(WsMessage { id: answer.id(), kind }.message(), vec![buffer::from_bytes(bytes)]);
        Ok(())
    }

    /// Closes both sides. A client or an app that has left gets nothing.
    async fn close(mut self, closed: Closed) {
        match closed {
            Closed::Lost => {}
            Closed::ByClient(code, reason) => {
                // The answer to the client's close is queued already.
                let _ = timeout(CLOSE_TIMEOUT, self.client.flush()).await;
                self.close_app(code, &reason).await;
            }
            Closed::ByApp(code, reason) => {
                self.exchange.answer().finish();
                self.close_client(code, &reason).await;
            }
            Closed::ByHost(code, reason) => {
                self.close_app(code, reason).await;
                self.close_client(code, reason).await;
            }
        }
    }

    /// Notifies the app, and waits until its handler has returned.
    async fn close_app(&mut self, code: u16, reason: &str) {
        if self.app_ended {
            return self.exchange.answer().finish();
        }
        let answer = self.exchange.answer();
        answer.notify(method::WS_CLOSE, WsClose { id: answer.id(), code, reason: reason.into() });
        let ends = async {
            loop {
                match self.exchange.event().await {
                    Ok(ReplyEvent::WsMessage(..) | ReplyEvent::Credit(_)) => {}
                    Ok(_) | Err(WorkerGone { .. }) => break self.exchange.answer().finish(),
                }
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, ends).await;
    }

    /// Sends a close, and waits for the client's. The app has no part in it, and may be replaced meanwhile.
    async fn close_client(self, code: u16, reason: &str) {
        let Self { client, exchange, .. } = self;
        drop(exchange);
        // Whether the client answers is its own affair.
        let _ = timeout(CLOSE_TIMEOUT, client.close(code, reason)).await;
    }
}
