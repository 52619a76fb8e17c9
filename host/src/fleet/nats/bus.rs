//! Messages between hosts, which NATS does not store.

use async_nats::{StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;

use super::connection::Fleet;
use super::error::FleetError;

/// Sends and receives messages, as long as the connection of a [`Fleet`] lasts.
#[derive(Clone, Debug)]
pub(crate) struct Bus(async_nats::Client);

/// A message that has come.
#[derive(Debug)]
pub(crate) struct Received {
    /// Its subject.
    pub(crate) subject: String,
    /// What it contains; `None`: NATS reports that nobody takes what was sent with this subject for the reply.
    pub(crate) content: Option<Bytes>,
}

/// The messages of a subject.
#[derive(Debug)]
pub(crate) struct Messages(Subscriber);

impl Fleet {
    /// What sends and receives messages.
    pub(crate) fn bus(&self) -> Bus {
        Bus(self.client.clone())
    }
}

impl Bus {
    /// How many bytes a message may have.
    pub(crate) fn max_payload(&self) -> usize {
        self.0.server_info().max_payload
    }

    /// The messages of a subject from now on.
    ///
    /// # Errors
    /// The connection was lost.
    pub(crate) async fn subscribe(&self, subject: String) -> Result<Messages, FleetError> {
        let what = format!("subscribe to {subject}");
        let subscriber = self.0.subscribe(subject).await;
        subscriber.map(Messages).map_err(|error| FleetError::request(what)(error.into()))
    }

    /// Sends a message. If nobody takes it, NATS reports that to `reply`.
    ///
    /// # Errors
    /// The connection was lost.
    pub(crate) async fn send(
        &self,
        subject: String,
        reply: Option<String>,
        content: Bytes,
    ) -> Result<(), FleetError> {
        let sent = match reply {
            Some(reply) => self.0.publish_with_reply(subject, reply, content).await,
            None => self.0.publish(subject, content).await,
        };
        sent.map_err(|error| FleetError::request("send a message to another host")(error.into()))
    }

    /// Waits until all that was sent is on its way.
    ///
    /// # Errors
    /// The connection was lost.
    pub(crate) async fn flush(&self) -> Result<(), FleetError> {
        self.0
            .flush()
            .await
            .map_err(|error| FleetError::request("send messages to other hosts")(error.into()))
    }
}

impl Messages {
    /// The next one; `None`: the connection was lost.
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        let message = self.0.next().await?;
        let is_nobody_there = message.status == Some(StatusCode::NO_RESPONDERS);
        Some(Received {
            subject: message.subject.to_string(),
            content: (!is_nobody_there).then_some(message.payload),
        })
    }
}
