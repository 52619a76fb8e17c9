//! The body of a request of another host.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::sync::mpsc;

use super::credit::Taken;
use super::inbound::Part;
use super::reply::Reply;
use crate::dispatch::exchange::BodyPart;
use crate::observe::metrics::Metrics;

/// A body as it comes: what the app takes is granted again.
pub(super) struct RemoteBody {
    parts: mpsc::UnboundedReceiver<Part>,
    reply: Rc<Reply>,
    taken: Taken,
    metrics: Arc<Metrics>,
}

impl RemoteBody {
    pub(super) fn new(parts: mpsc::UnboundedReceiver<Part>, reply: Rc<Reply>, metrics: Arc<Metrics>) -> Self {
        Self { parts, reply, taken: Taken::default(), metrics }
    }
}

impl Stream for RemoteBody {
    type Item = Part;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.parts.poll_recv(context));
        if let Some(Ok(BodyPart::Data(bytes))) = &part {
            self.metrics.received.add(bytes.len() as u64);
            if let Some(more) = self.taken.note(bytes.len()) {
                self.reply.grant(more);
            }
        }
        Poll::Ready(part)
    }
}
