//! What is to be sent.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::fleet::UnfinishedCall;

/// What is to be sent, or done when all before it is on its way.
#[derive(Debug)]
pub(super) enum Outbound {
    /// A message, and where NATS reports that nobody takes it.
    Message { subject: String, reply: Option<String>, content: Bytes },
    /// A call of another host is finished.
    Finished(UnfinishedCall),
}

/// Takes what is to be sent, without waiting. What is in it is bounded by the credit of the streams.
#[derive(Clone, Debug)]
pub(super) struct Outbox(mpsc::UnboundedSender<Outbound>);

impl Outbox {
    /// One, and what comes out of it.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Outbound>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Takes something. Without a connection it is dropped, with all exchanges.
    pub(super) fn put(&self, outbound: Outbound) {
        let _ = self.0.send(outbound);
    }

    /// Takes a message.
    pub(super) fn send(&self, subject: String, reply: Option<String>, content: Bytes) {
        self.put(Outbound::Message { subject, reply, content });
    }
}
