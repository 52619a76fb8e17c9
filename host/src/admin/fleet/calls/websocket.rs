//! WebSockets of clients of other hosts.

use std::rc::Rc;
use std::sync::Arc;

use atoll_plugin::abi::Buffer;
use atoll_plugin::protocol::{Request, WsClose, WsKind, WsMessage, method};
use atoll_port::exchange::websocket::{Closed, WebSocketClient};
use bytes::Bytes;

use super::credit::Taken;
use super::inbound::{FromClient, Receivers};
use super::reply::Reply;
use crate::observe::metrics::Metrics;

/// The code and the reason when a message is larger than one between hosts may be.
const TOO_LARGE: (u16, &str) = (1009, "the message is too large");

/// The client of a WebSocket, who is connected to another host.
pub(super) struct Client {
    receivers: Receivers,
    reply: Rc<Reply>,
    taken: Taken,
    metrics: Arc<Metrics>,
}

impl Client {
    /// One that is counted as long as it is open.
    pub(super) fn new(receivers: Receivers, reply: Rc<Reply>, metrics: Arc<Metrics>) -> Self {
        metrics.websocket_opened();
        Self { receivers, reply, taken: Taken::default(), metrics }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.metrics.websocket_closed();
    }
}

impl WebSocketClient for Client {
    type Incoming = Option<FromClient>;

    async fn next(&mut self) -> Option<FromClient> {
        self.receivers.socket.recv().await
    }

    async fn read(&mut self, incoming: Option<FromClient>) -> Result<Option<(WsKind, Bytes)>, Closed> {
        match incoming {
            Some(FromClient::Message(kind, bytes)) => {
                self.metrics.received.add(bytes.len() as u64);
                if let Some(more) = self.taken.note(bytes.len()) {
                    self.reply.grant(more);
                }
                Ok(Some((kind, bytes)))
            }
            Some(FromClient::Close(code, reason)) => Err(Closed::ByClient(code, reason)),
            None => Err(Closed::Lost),
        }
    }

    async fn feed(&mut self, kind: WsKind, bytes: Buffer) -> Result<(), Closed> {
        self.receivers.credit.available().await;
        let text = WsMessage { id: self.reply.id(), kind }.message();
        self.reply.message(&text, &bytes, false).map_err(|_| Closed::ByHost(TOO_LARGE.0, TOO_LARGE.1))?;
        self.receivers.credit.take(bytes.len());
        self.metrics.sent.add(bytes.len() as u64);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        Ok(())
    }

    async fn close(self, code: u16, reason: &str) {
        close(&self.reply, code, reason);
    }
}

/// Closes the WebSocket, as the last message of the exchange.
pub(super) fn close(reply: &Reply, code: u16, reason: &str) {
    let close = WsClose { id: reply.id(), code, reason: reason.into() };
    reply.note(&atoll_port::to_json(&Request::notification(method::WS_CLOSE, close)), true);
}
