//! A request of the host's: its place in the inbox, and what comes back for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use atoll_protocol::abi::{Buffer, Message};
use atoll_protocol::{self as protocol, Cancel, Credit, IndexedText, Stream, method};
use serde::Serialize;
use tokio::time::Instant;

use crate::call_context::CallContext;
use crate::exchange::from_problem;
use crate::flow_control::FlowControl;
use crate::message::{message, to_json};
use crate::port::{Pending, Port};
use crate::reply_queue::{self, ReplyReceiver, WorkerGone};
use crate::timing::{RequestTiming, Stopwatch};
use crate::transport::Item;
use crate::worker_message::ReplyEvent;

/// Why a port does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// As many requests wait in the inbox as may.
    #[error("the worker's inbox is full: {0} requests are queued")]
    Full(usize),
    /// The worker has ended.
    #[error("the worker has exited")]
    Closed,
}

impl Port {
    /// Reserves a place in the inbox for one request.
    ///
    /// # Errors
    /// There is none: see [`CallError`].
    pub fn reserve(self: &Arc<Self>) -> Result<Permit, CallError> {
        if self.is_closed() {
            return Err(CallError::Closed);
        }
        let place = Permit { port: self.clone(), used: false, context: None };
        let limit = self.limits.queue;
        if self.waiting.fetch_add(1, Ordering::Relaxed) < limit {
            return Ok(place);
        }
        self.transport.settle();
        if self.waiting.load(Ordering::Relaxed) <= limit { Ok(place) } else { Err(CallError::Full(limit)) }
    }

    /// Sends a request; what is returned waits for the answer. If it is dropped earlier, the request is cancelled.
    ///
    /// # Errors
    /// The request was not taken: see [`CallError`].
    ///
    /// # Panics
    /// As for [`Permit::send`], and when `params` cannot be written as JSON.
    pub fn call(
        self: &Arc<Self>,
        method: &str,
        params: impl Serialize,
        transfer: Option<Buffer>,
    ) -> Result<Answer, CallError> {
        let mut transfer = transfer;
        self.reserve()?.send(|id| to_json(&protocol::Request::new(id, method, params)).into(), &mut transfer)
    }
}

/// A place in a port's inbox, given back when it is not used.
pub struct Permit {
    port: Arc<Port>,
    used: bool,
    context: Option<CallContext>,
}

impl Permit {
    /// With a context for the request, which the calls carry on that the app makes for it.
    #[must_use]
    pub fn on_behalf(mut self, context: Option<&CallContext>) -> Self {
        self.context = context.cloned();
        self
    }

    /// Sends the request that `text` writes for the given id, in this place: see [`Port::call`]. The
    /// buffer is taken only when it is sent.
    ///
    /// # Errors
    /// [`CallError::Closed`].
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn send(
        mut self,
        text: impl FnOnce(u64) -> IndexedText,
        transfer: &mut Option<Buffer>,
    ) -> Result<Answer, CallError> {
        let port = self.port.clone();
        let id = port.next_id.fetch_add(2, Ordering::Relaxed);
        let text = text(id);
        let (sender, reply) = reply_queue::open(port.transport.inlet());
        let waiting = Pending {
            sender,
            context: self.context.take(),
            calls: Vec::new(),
            clock: Stopwatch::start(),
            outgoing: FlowControl::default(),
        };
        port.with_pending(|pending| pending.insert(id, waiting)).ok_or(CallError::Closed)?;
        self.used = true;
        port.transport.put(Item::Request(id, text, transfer.take()));
        if port.transport.bell().is_awaited() {
            reply.ring_later(port.transport.bell());
        }
        Ok(Answer { port, id, reply, over: false })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.used {
            self.port.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Waits for what comes back for one request: its answer, and the streams that may follow it. If it is dropped before
/// it is finished, the request is cancelled.
pub struct Answer {
    port: Arc<Port>,
    id: u64,
    reply: ReplyReceiver,
    over: bool,
}

impl Answer {
    /// The next thing that has come.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<ReplyEvent, WorkerGone>> {
        let event = ready!(self.reply.poll_next(context));
        if let Ok(ReplyEvent::Credit(_)) = event {
            self.with_outgoing(FlowControl::note_credit_read);
        }
        Poll::Ready(event)
    }

    fn with_outgoing(&self, change: impl FnOnce(&mut FlowControl)) {
        self.port.with_pending(|pending| pending.get_mut(&self.id).map(|it| change(&mut it.outgoing)));
    }

    /// Wakes the waiting task when `deadline` has passed; it replaces the previous deadline.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.reply.set_deadline(deadline);
    }

    /// Whether the deadline has passed.
    pub fn is_late(&self) -> bool {
        self.reply.is_late()
    }

    /// Notes that nothing more will come that matters.
    pub fn finish(&mut self) {
        self.over = true;
    }

    /// What the worker has taken for it until now; nothing when the port is closed.
    pub fn times(&self) -> RequestTiming {
        let clock = self.port.with_pending(|pending| pending.get(&self.id).map(|pending| pending.clock));
        clock.flatten().map(Stopwatch::stop).unwrap_or_default()
    }

    /// The request's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Tells the worker something about this request.
    pub fn notify(&self, method: &str, params: impl Serialize) {
        self.send(to_json(&protocol::Request::notification(method, params)), Vec::new());
    }

    /// Sends the worker a message about this request; it is woken when this thread has sent all that it has to send now.
    pub fn send(&self, json: Vec<u8>, transfer: Vec<Buffer>) {
        let transport = &self.port.transport;
        transport.put(Item::Notification(message(json, transfer)));
        if transport.bell().is_awaited() {
            self.reply.ring_later(transport.bell());
        }
    }

    /// Sends a piece of the request's body.
    pub fn send_chunk(&self, chunk: Buffer) {
        self.send(Stream { id: self.id }.chunk_message(), vec![chunk]);
    }

    /// Grants the worker so much more credit.
    pub fn grant(&self, bytes: u64) {
        self.with_outgoing(|outgoing| outgoing.grant(bytes));
        self.send(Credit { id: self.id, bytes }.message(), Vec::new());
    }
}

/// The answer itself, and what it took, for requests that have no streams.
impl Future for Answer {
    type Output = Result<(Message, RequestTiming), WorkerGone>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let event = ready!(self.poll_event(context));
            self.over = true;
            match event {
                Ok(ReplyEvent::Answer(message, times)) => return Poll::Ready(Ok((message, times))),
                Ok(ReplyEvent::Refused(problem)) => {
                    let error = protocol::Response::error(self.id, from_problem(*problem));
                    return Poll::Ready(Ok((message(to_json(&error), Vec::new()), self.times())));
                }
                Ok(_) => {}
                Err(gone) => return Poll::Ready(Err(gone)),
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let pending = self.port.with_pending(|pending| pending.remove(&self.id)).flatten();
        if let Some(Pending { sender, calls, clock, .. }) = pending {
            sender.forget();
            self.port.calls.cancel(&calls);
            // What the worker does not have yet, it will not get.
            let may_have_it = || clock.is_taken() || self.port.transport.withdraw(self.id);
            if !self.over && may_have_it() {
                // The thread may be ending, and have nothing that would wake the worker later.
                self.port.notify(method::CANCEL, Cancel { id: self.id }, Vec::new());
            }
        }
    }
}
