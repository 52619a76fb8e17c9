//! The host's end of a port: the worker's inbox, and the requests that it has not answered yet.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{future::Future, pin::Pin, task::Context, task::Poll, task::ready};

use atoll_plugin::abi::{Buffer, Message, Received};
use atoll_plugin::protocol::{self, Cancel, Credit, Stream, method};
use crossbeam_channel::{Receiver, Sender};
use foldhash::{HashMap, HashMapExt};
use serde::Serialize;
use tokio::time::Instant;

use crate::buffer;
use crate::call_context::CallContext;
use crate::courier::{Courier, Errand, Sender as ErrandSender};
use crate::doorbell::Doorbell;
use crate::errands::Errands;
use crate::event::{Event, Request, Sent};
use crate::forked;
use crate::lane::{self, Gone, Ticket};
use crate::times::{Clock, Times};

/// Why a port does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// As many requests wait in the inbox as may.
    #[error("the worker's inbox is full: {0} requests wait")]
    Full(usize),
    /// The worker has ended.
    #[error("the worker has ended")]
    Closed,
}

enum Item {
    Request(Message, u64),
    Notification(Message),
    Wake,
}

/// A request that is to be answered.
struct Pending {
    ticket: Ticket,
    /// What the calls carry on that the app makes for it.
    context: Option<CallContext>,
    /// The numbers of those calls, as far as they are not over.
    errands: Vec<u64>,
    clock: Clock,
}

/// A port between the host and one worker.
pub struct Port {
    this: Weak<Self>,
    app: Arc<str>,
    inbox: Sender<Item>,
    outlet: Receiver<Item>,
    /// Requests that the worker has not taken yet, and how many there may be.
    waiting: AtomicUsize,
    capacity: usize,
    woken: AtomicBool,
    next_id: AtomicU64,
    /// The requests to be answered, by number; `None` when the port is closed.
    pending: Mutex<Option<HashMap<u64, Pending>>>,
    courier: Courier,
    errands: Errands,
    closed: AtomicBool,
    doorbell: Arc<Doorbell>,
}

impl Port {
    /// A port to a worker of `app` in whose inbox at most `capacity` requests wait; `courier` brings its own.
    pub(crate) fn new(app: Arc<str>, capacity: usize, courier: Courier) -> Arc<Self> {
        let (inbox, outlet) = crossbeam_channel::unbounded();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            app,
            inbox,
            outlet,
            waiting: AtomicUsize::new(0),
            capacity,
            woken: AtomicBool::new(false),
            // Odd numbers are the host's, even ones the app's.
            next_id: AtomicU64::new(1),
            pending: Mutex::new(Some(HashMap::new())),
            courier,
            errands: Errands::default(),
            closed: AtomicBool::new(false),
            doorbell: Arc::default(),
        })
    }

    /// Reserves a place in the inbox for one request.
    ///
    /// # Errors
    /// There is none: see [`CallError`].
    pub fn reserve(self: &Arc<Self>) -> Result<Place, CallError> {
        if self.is_closed() {
            return Err(CallError::Closed);
        }
        let place = Place { port: self.clone(), used: false, context: None };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            return Err(CallError::Full(self.capacity));
        }
        Ok(place)
    }

    /// Sends a request; what is returned waits for the answer. When it is dropped before, the worker is told that
    /// nobody waits.
    ///
    /// # Errors
    /// The request was not taken: see [`CallError`].
    ///
    /// # Panics
    /// As for [`Place::send`], and when `params` cannot be written as JSON.
    pub fn call(
        self: &Arc<Self>,
        method: &str,
        params: impl Serialize,
        transfer: Vec<Buffer>,
    ) -> Result<Answer, CallError> {
        self.reserve()?.send(|id| to_json(&protocol::Request::new(id, method, params)), transfer)
    }

    /// Sends a notification, which is never refused: a closed port has nobody to tell.
    pub fn notify(&self, method: &str, params: impl Serialize, transfer: Vec<Buffer>) {
        self.push(Item::Notification(message(
            to_json(&protocol::Request::notification(method, params)),
            transfer,
        )));
    }

    /// Answers a request of the app's own.
    pub(crate) fn answer(&self, answer: &impl Serialize, transfer: Vec<Buffer>) {
        self.push(Item::Notification(message(to_json(answer), transfer)));
    }

    /// The app's name.
    pub(crate) fn app(&self) -> &Arc<str> {
        &self.app
    }

    /// Ends the port: the worker's next `receive` says so, whoever waits for an answer gets [`Gone`], and
    /// what the app has asked for is cancelled.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(pending);
        self.errands.cancel_all();
        self.push(Item::Wake);
    }

    /// Whether the port is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// How many requests wait in the inbox.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Brings the worker the next item; called on the worker's thread.
    pub(crate) fn receive(&self, timeout: Option<Duration>, into: &mut Message) -> Received {
        // Most calls only look, and need no clock.
        let looks_only = timeout == Some(Duration::ZERO);
        let until = timeout.filter(|_| !looks_only).and_then(|timeout| Instant::now().checked_add(timeout));
        let item = loop {
            if let Ok(item) = self.outlet.try_recv() {
                break item;
            }
            if self.is_closed() {
                return Received::Closed;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if looks_only || left == Some(Duration::ZERO) {
                return Received::TimedOut;
            }
            forked::end_child();
            self.doorbell.wait(left, || self.nothing_there());
        };
        if let Item::Request(_, id) = &item {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.with_pending(|pending| {
                if let Some(pending) = pending.get_mut(id) {
                    pending.clock.take();
                }
            });
        }
        if self.is_closed() {
            return Received::Closed;
        }
        match item {
            Item::Request(message, _) | Item::Notification(message) => {
                *into = message;
                Received::Message
            }
            Item::Wake => {
                self.woken.store(false, Ordering::SeqCst);
                Received::Woken
            }
        }
    }

    fn nothing_there(&self) -> bool {
        self.outlet.is_empty() && !self.is_closed()
    }

    /// Takes a message of the worker's; called on a thread of the app's. `false`: the port is closed.
    pub(crate) fn accept(&self, sent: Message) -> bool {
        forked::end_child();
        match Sent::parse(sent) {
            Ok(Sent::Event(id, mut event)) => {
                let is_answer = matches!(event, Event::Answer(..));
                let known = self.with_pending(|pending| match pending.get_mut(&id) {
                    Some(Pending { ticket, context, clock, .. }) => {
                        if let Event::Answer(_, times) = &mut event {
                            *times = clock.stop();
                            context.iter_mut().for_each(CallContext::clear_deadline);
                        }
                        ticket.send(event);
                        true
                    }
                    None => false,
                });
                // One that was asked may be answered after whoever asked has left.
                if known == Some(false) && is_answer && !self.has_asked(id) {
                    log::warn!("{}: the app answered request {id}, which was never asked", self.app);
                }
            }
            Ok(Sent::Request(id, request)) => self.begin_errand(id, request),
            Ok(Sent::Cancel(id)) => self.errands.cancel(&[id]),
            Err(error) => log::warn!("{}: {error}", self.app),
        }
        !self.is_closed()
    }

    fn begin_errand(&self, id: u64, request: Request) {
        let Some(port) = self.this.upgrade() else { return };
        let cancelled = self.errands.begin(id);
        // Whoever closed the port meanwhile may not have seen it.
        if self.is_closed() {
            self.errands.cancel(&[id]);
        }
        self.courier.take(Errand { sender: ErrandSender { port, id }, request, cancelled });
    }

    /// Makes a request of the app's own end with the host's request `parent`, if that is still to be answered; its
    /// context.
    pub(crate) fn adopt_errand(&self, id: u64, parent: u64) -> Option<Option<CallContext>> {
        self.with_pending(|pending| {
            let pending = pending.get_mut(&parent)?;
            pending.errands.push(id);
            self.errands.set_parent(id, parent);
            Some(pending.context.clone())
        })?
    }

    /// Notes that a request of the app's own is over.
    pub(crate) fn end_errand(&self, id: u64) {
        if let Some(parent) = self.errands.end(id) {
            self.with_pending(|pending| {
                if let Some(Pending { errands, .. }) = pending.get_mut(&parent) {
                    errands.retain(|errand| *errand != id);
                }
            });
        }
    }

    /// Whether the host has sent a request of this number.
    fn has_asked(&self, id: u64) -> bool {
        id % 2 == 1 && id < self.next_id.load(Ordering::Relaxed)
    }

    /// The descriptor by which an app with an event loop of its own learns that something has come.
    pub(crate) fn doorbell(&self) -> RawFd {
        self.doorbell.descriptor()
    }

    /// Notes that the worker waits for its doorbell. `false`: it must not, something is there.
    pub(crate) fn sleep(&self) -> bool {
        forked::end_child();
        self.doorbell.sleep(|| self.nothing_there())
    }

    /// Ends the worker's `receive`, once for any number of calls before it looks again.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.push(Item::Wake);
        }
    }

    fn push(&self, item: Item) {
        self.queue(item);
        self.doorbell.ring();
    }

    fn queue(&self, item: Item) {
        // The port holds the other end itself, so the channel is never disconnected.
        let _ = self.inbox.send(item);
    }

    fn with_pending<T>(&self, f: impl FnOnce(&mut HashMap<u64, Pending>) -> T) -> Option<T> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(f)
    }
}

/// A place in a port's inbox, given back when it is not used.
pub struct Place {
    port: Arc<Port>,
    used: bool,
    context: Option<CallContext>,
}

impl Place {
    /// With a context for the request, which the calls carry on that the app makes for it.
    #[must_use]
    pub(crate) fn on_behalf(mut self, context: Option<&CallContext>) -> Self {
        self.context = context.cloned();
        self
    }

    /// Sends the request that `json` writes, of the number that it is told, in this place: see [`Port::call`].
    ///
    /// # Errors
    /// [`CallError::Closed`].
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn send(
        mut self,
        json: impl FnOnce(u64) -> Vec<u8>,
        transfer: Vec<Buffer>,
    ) -> Result<Answer, CallError> {
        let port = self.port.clone();
        let id = port.next_id.fetch_add(2, Ordering::Relaxed);
        let message = message(json(id), transfer);
        let (ticket, reply) = lane::open();
        let waiting =
            Pending { ticket, context: self.context.take(), errands: Vec::new(), clock: Clock::start() };
        port.with_pending(|pending| pending.insert(id, waiting)).ok_or(CallError::Closed)?;
        self.used = true;
        port.queue(Item::Request(message, id));
        if port.doorbell.is_awaited() {
            reply.ring_later(&port.doorbell);
        }
        Ok(Answer { port, id, reply, over: false })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.used {
            self.port.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Waits for what comes back for one request: its answer, and the streams that may follow it. When it is dropped
/// before that is over, the worker is told that nobody waits.
pub struct Answer {
    port: Arc<Port>,
    id: u64,
    reply: lane::Reply,
    over: bool,
}

impl Answer {
    /// The next thing that has come.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<Event, Gone>> {
        self.reply.poll_next(context)
    }

    /// Wakes whoever waits for this when `deadline` has passed; it takes the place of the one before.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.reply.set_deadline(deadline);
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.reply.is_late()
    }

    /// Notes that nothing more will come that matters.
    pub(crate) fn over(&mut self) {
        self.over = true;
    }

    /// The request's number.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Tells the worker something about this request.
    pub(crate) fn notify(&self, method: &str, params: impl Serialize) {
        self.send(to_json(&protocol::Request::notification(method, params)), Vec::new());
    }

    /// Sends the worker a message about this request; it is woken when this thread has sent all that it has to send now.
    pub(crate) fn send(&self, json: Vec<u8>, transfer: Vec<Buffer>) {
        self.port.queue(Item::Notification(message(json, transfer)));
        if self.port.doorbell.is_awaited() {
            self.reply.ring_later(&self.port.doorbell);
        }
    }

    /// Sends a piece of the request's body.
    pub(crate) fn send_chunk(&self, chunk: Buffer) {
        self.send(Stream { id: self.id }.chunk_message(), vec![chunk]);
    }

    /// Grants the worker credit for so many bytes more.
    pub(crate) fn grant(&self, bytes: u64) {
        self.send(Credit { id: self.id, bytes }.message(), Vec::new());
    }
}

/// The answer itself, and what it took, for requests that have no streams.
impl Future for Answer {
    type Output = Result<(Message, Times), Gone>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let event = ready!(self.poll_event(context));
            self.over = true;
            match event {
                Ok(Event::Answer(message, times)) => return Poll::Ready(Ok((message, times))),
                Ok(_) => {}
                Err(gone) => return Poll::Ready(Err(gone)),
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let pending = self.port.with_pending(|pending| pending.remove(&self.id)).flatten();
        if let Some(Pending { ticket, errands, .. }) = pending {
            ticket.forget();
            self.port.errands.cancel(&errands);
            if !self.over {
                // The thread may be ending, and have nothing that would wake the worker later.
                self.port.notify(method::CANCEL, Cancel { id: self.id }, Vec::new());
            }
        }
    }
}

/// # Panics
/// When `message` cannot be written as JSON; the types of the protocol always can.
pub(crate) fn to_json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message of the protocol can be written as JSON")
}

fn message(json: Vec<u8>, transfer: Vec<Buffer>) -> Message {
    Message { json: buffer::from_vec(json), transfer: buffer::list(transfer) }
}
