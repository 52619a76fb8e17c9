//! The host's end of a port: the worker's inbox, and the requests that it has not answered yet.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{future::Future, pin::Pin, task::Context, task::Poll, task::ready};

use atoll_plugin::abi::{Buffer, Message, Received};
use atoll_plugin::protocol::{
    self, Cancel, Credit, ErrorObject, HttpRequest, Incoming, Response, Stream, code, method,
};
use crossbeam_channel::{Receiver, Sender};
use foldhash::{HashMap, HashMapExt};
use serde::Serialize;
use tokio::time::Instant;

use crate::memory::buffer;
use crate::observe::app_warnings::{AppWarnings, WarningKind};
use crate::observe::timing::{RequestTiming, Stopwatch};
use crate::port::call_context::CallContext;
use crate::port::call_sink::{CallSink, OutgoingCall};
use crate::port::doorbell::Doorbell;
use crate::port::flow_control::FlowControl;
use crate::port::forked;
use crate::port::outgoing_calls::{NotBegun, OutgoingCalls};
use crate::port::reply_queue::{self, ReplySender, WorkerGone};
use crate::port::worker_message::{CallRequest, ReplyEvent, WorkerMessage, WorkerMessageError};

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

/// What a worker may do to its host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many requests may wait in its inbox.
    pub queue: usize,
    /// How many requests of its own may be open, and answered without that it has taken the answer.
    pub calls: usize,
    /// How many bytes the text of a message may have.
    pub message: usize,
}

enum Item {
    /// A request with its number, not yet a message, as its deadline may have to be changed.
    CallRequest(u64, Vec<u8>, Option<Buffer>),
    Notification(Message),
    /// The answer to a request of the app's own.
    Answer(Message),
    Wake,
}

/// A request that is to be answered.
struct Pending {
    sender: ReplySender,
    /// What the calls carry on that the app makes for it.
    context: Option<CallContext>,
    /// The numbers of those calls, as far as they are not over.
    calls: Vec<u64>,
    clock: Stopwatch,
    outgoing: FlowControl,
}

/// A port between the host and one worker.
pub struct Port {
    this: Weak<Self>,
    app: Arc<str>,
    inbox: Sender<Item>,
    outlet: Receiver<Item>,
    /// Requests that the worker has not taken yet.
    waiting: AtomicUsize,
    /// Answers that the worker has not taken yet.
    answers: AtomicUsize,
    limits: Limits,
    warnings: Arc<AppWarnings>,
    woken: AtomicBool,
    next_id: AtomicU64,
    /// The requests to be answered, by number; `None` when the port is closed.
    pending: Mutex<Option<HashMap<u64, Pending>>>,
    call_sink: Arc<dyn CallSink>,
    calls: OutgoingCalls,
    closed: AtomicBool,
    doorbell: Arc<Doorbell>,
    /// How many of this port's counts the library has.
    lent: AtomicUsize,
}

impl Pending {
    /// Notes that the worker takes it now; `None`: its deadline has passed. What is returned is how much of that is left,
    /// where it has waited so long that the message does not say it.
    fn hand_out(&mut self) -> Option<Option<Duration>> {
        /// The unit of the deadline in the message.
        const UNIT: Duration = Duration::from_millis(1);
        let now = std::time::Instant::now();
        let waited = now.saturating_duration_since(self.clock.sent());
        let left = match self.context.as_ref().and_then(CallContext::deadline) {
            Some(deadline) => Some(deadline.into_std().checked_duration_since(now)?),
            None => None,
        };
        self.clock.take(now);
        Some(left.filter(|_| waited >= UNIT))
    }
}

impl Port {
    /// A port to a worker of `app`; `call_sink` carries out its calls.
    pub(crate) fn new(
        app: Arc<str>,
        limits: Limits,
        warnings: Arc<AppWarnings>,
        call_sink: Arc<dyn CallSink>,
    ) -> Arc<Self> {
        let (inbox, outlet) = crossbeam_channel::unbounded();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            app,
            inbox,
            outlet,
            waiting: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            limits,
            warnings,
            woken: AtomicBool::new(false),
            // Odd numbers are the host's, even ones the app's.
            next_id: AtomicU64::new(1),
            pending: Mutex::new(Some(HashMap::new())),
            call_sink,
            calls: OutgoingCalls::default(),
            closed: AtomicBool::new(false),
            doorbell: Arc::default(),
            lent: AtomicUsize::new(0),
        })
    }

    /// Reserves a place in the inbox for one request.
    ///
    /// # Errors
    /// There is none: see [`CallError`].
    pub fn reserve(self: &Arc<Self>) -> Result<Permit, CallError> {
        if self.is_closed() {
            return Err(CallError::Closed);
        }
        let place = Permit { port: self.clone(), used: false, context: None };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limits.queue {
            return Err(CallError::Full(self.limits.queue));
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
    /// As for [`Permit::send`], and when `params` cannot be written as JSON.
    pub fn call(
        self: &Arc<Self>,
        method: &str,
        params: impl Serialize,
        transfer: Option<Buffer>,
    ) -> Result<Answer, CallError> {
        let mut transfer = transfer;
        self.reserve()?.send(|id| to_json(&protocol::Request::new(id, method, params)), &mut transfer)
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
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.push(Item::Answer(message(to_json(answer), transfer)));
    }

    /// The app's name.
    pub(crate) fn app(&self) -> &Arc<str> {
        &self.app
    }

    /// How many counts of this port the library has.
    pub(crate) fn lent(&self) -> &AtomicUsize {
        &self.lent
    }

    /// Ends the port: the worker's next `receive` says so, whoever waits for an answer gets [`WorkerGone`], and
    /// what the app has asked for is cancelled.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner).take();
        for Pending { sender, clock, .. } in pending.into_iter().flat_map(HashMap::into_values) {
            if clock.is_taken() {
                drop(sender);
            } else {
                sender.give_back();
            }
        }
        self.calls.cancel_all();
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
        let message = loop {
            if let Ok(item) = self.outlet.try_recv() {
                match item {
                    Item::CallRequest(id, json, transfer) => match self.hand_out(id, json, transfer) {
                        Some(message) => break Some(message),
                        // Nobody waits for it any more.
                        None => continue,
                    },
                    Item::Notification(message) => break Some(message),
                    Item::Answer(message) => {
                        self.answers.fetch_sub(1, Ordering::Relaxed);
                        break Some(message);
                    }
                    Item::Wake => break None,
                }
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
        if self.is_closed() {
            return Received::Closed;
        }
        match message {
            Some(message) => {
                *into = message;
                Received::Message
            }
            None => {
                self.woken.store(false, Ordering::SeqCst);
                Received::Woken
            }
        }
    }

    /// The message of a request, with the time that is left for it; `None` when its deadline has passed, or its client
    /// has left.
    fn hand_out(&self, id: u64, mut json: Vec<u8>, transfer: Option<Buffer>) -> Option<Message> {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let left = self.with_pending(|pending| pending.get_mut(&id).and_then(Pending::hand_out))??;
        if let Some(left) = left {
            // Methods of the app's own have none to be changed.
            let _ = HttpRequest::set_deadline(&mut json, u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        }
        Some(message(json, transfer.into_iter().collect()))
    }

    fn nothing_there(&self) -> bool {
        self.outlet.is_empty() && !self.is_closed()
    }

    /// Takes a message of the worker's; called on a thread of the app's. `false`: the port is closed.
    pub(crate) fn accept(&self, sent: Message) -> bool {
        forked::end_child();
        if sent.json.len() > self.limits.message {
            self.too_large(&sent.json);
            return !self.is_closed();
        }
        match WorkerMessage::parse(sent) {
            Ok(WorkerMessage::ReplyEvent(id, event)) => self.take_event(id, event),
            Ok(WorkerMessage::CallRequest(id, request)) => self.begin_call(id, request),
            Ok(WorkerMessage::Cancel(id)) => self.calls.cancel(&[id]),
            Err(error) => {
                let kind = match error {
                    WorkerMessageError::Malformed(_) => WarningKind::Malformed,
                    WorkerMessageError::NoNumber => WarningKind::Numberless,
                    WorkerMessageError::Unknown(_) => WarningKind::Unknown,
                };
                self.warnings.warn(kind, error);
            }
        }
        !self.is_closed()
    }

    fn take_event(&self, id: u64, mut event: ReplyEvent) {
        let is_answer = matches!(event, ReplyEvent::Answer(..));
        let taken = self.with_pending(|pending| {
            let Pending { sender, context, clock, outgoing, .. } = pending.get_mut(&id)?;
            let admitted = outgoing.admit(&event);
            match admitted {
                Ok(true) => {
                    if let ReplyEvent::Answer(_, times) = &mut event {
                        *times = clock.stop();
                        context.iter_mut().for_each(CallContext::clear_deadline);
                    }
                    sender.send(event);
                }
                Ok(false) => {}
                Err(breach) => sender.send(ReplyEvent::Failed(breach.to_string())),
            }
            Some(admitted)
        });
        match taken {
            Some(Some(Err(breach))) => {
                self.warnings.warn(WarningKind::Credit, format_args!("{breach}, for request {id}"));
            }
            // One that was asked may be answered after whoever asked has left.
            Some(None) if is_answer && !self.has_asked(id) => {
                let what = format_args!("the app answered request {id}, which was never asked");
                self.warnings.warn(WarningKind::Answer, what);
            }
            _ => {}
        }
    }

    /// Answers for what is too large to be read as a whole.
    fn too_large(&self, json: &[u8]) {
        let (bytes, limit) = (json.len(), self.limits.message);
        let what = format!("a message of the app has {bytes} bytes, more than message_limit = {limit}");
        self.warnings.warn(WarningKind::MessageSize, &what);
        let error = |code| ErrorObject { code, message: what.as_str().into(), data: None };
        match serde_json::from_slice(json) {
            Ok(Incoming { id: Some(id), method: None, .. }) => {
                let json = to_json(&Response::error(id, error(code::INTERNAL_ERROR)));
                self.take_event(id, ReplyEvent::Answer(message(json, Vec::new()), RequestTiming::default()));
            }
            Ok(Incoming { id: Some(id), method: Some(_), .. }) => {
                self.refuse_call(id, error(code::INVALID_PARAMS));
            }
            // Nobody waits for what is left out.
            Ok(Incoming { id: None, .. }) | Err(_) => {}
        }
    }

    /// Answers a request of the app's own that is not begun; one whose app takes no answers ends the port.
    fn refuse_call(&self, id: u64, error: ErrorObject<'_>) {
        if self.answers.load(Ordering::Relaxed) < self.limits.calls.saturating_mul(2) {
            self.answer(&Response::error(id, error), Vec::new());
        } else if !self.is_closed() {
            log::error!(
                "{}: a worker asks for more and more, and takes no answers: its port is closed (max_calls = {})",
                self.app,
                self.limits.calls
            );
            self.close();
        }
    }

    fn begin_call(&self, id: u64, request: CallRequest) {
        let Some(port) = self.this.upgrade() else { return };
        let most = self.limits.calls.saturating_sub(self.answers.load(Ordering::Relaxed));
        let cancelled = match self.calls.begin(id, most) {
            Ok(cancelled) => cancelled,
            Err(why) => {
                let (code, what) = match why {
                    NotBegun::TooMany => {
                        let calls = self.limits.calls;
                        let what = format!(
                            "{calls} calls of a worker are in flight, or answered and not read: its limit (max_calls = {calls})"
                        );
                        (code::UNAVAILABLE, what)
                    }
                    NotBegun::Repeated => {
                        (code::INVALID_REQUEST, format!("the app asked again with the number {id}"))
                    }
                };
                self.warnings.warn(WarningKind::Calls, &what);
                return self.refuse_call(id, ErrorObject { code, message: what.into(), data: None });
            }
        };
        // Whoever closed the port meanwhile may not have seen it.
        if self.is_closed() {
            self.calls.cancel(&[id]);
        }
        self.call_sink.accept(OutgoingCall { port, id, request, cancelled });
    }

    /// Makes a request of the app's own end with the host's request `parent`, if that is still to be answered; its
    /// context.
    pub(crate) fn adopt_call(&self, id: u64, parent: u64) -> Option<Option<CallContext>> {
        self.with_pending(|pending| {
            let pending = pending.get_mut(&parent)?;
            pending.calls.push(id);
            self.calls.set_parent(id, parent);
            Some(pending.context.clone())
        })?
    }

    /// Notes that a request of the app's own is over.
    pub(crate) fn end_call(&self, id: u64) {
        if let Some(parent) = self.calls.end(id) {
            self.with_pending(|pending| {
                if let Some(Pending { calls, .. }) = pending.get_mut(&parent) {
                    calls.retain(|call| *call != id);
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
pub struct Permit {
    port: Arc<Port>,
    used: bool,
    context: Option<CallContext>,
}

impl Permit {
    /// With a context for the request, which the calls carry on that the app makes for it.
    #[must_use]
    pub(crate) fn on_behalf(mut self, context: Option<&CallContext>) -> Self {
        self.context = context.cloned();
        self
    }

    /// Sends the request that `json` writes, of the number that it is told, in this place: see [`Port::call`]. The
    /// buffer is taken only when it is sent.
    ///
    /// # Errors
    /// [`CallError::Closed`].
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn send(
        mut self,
        json: impl FnOnce(u64) -> Vec<u8>,
        transfer: &mut Option<Buffer>,
    ) -> Result<Answer, CallError> {
        let port = self.port.clone();
        let id = port.next_id.fetch_add(2, Ordering::Relaxed);
        let json = json(id);
        let (sender, reply) = reply_queue::open();
        let waiting = Pending {
            sender,
            context: self.context.take(),
            calls: Vec::new(),
            clock: Stopwatch::start(),
            outgoing: FlowControl::default(),
        };
        port.with_pending(|pending| pending.insert(id, waiting)).ok_or(CallError::Closed)?;
        self.used = true;
        port.queue(Item::CallRequest(id, json, transfer.take()));
        if port.doorbell.is_awaited() {
            reply.ring_later(&port.doorbell);
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

/// Waits for what comes back for one request: its answer, and the streams that may follow it. When it is dropped
/// before that is over, the worker is told that nobody waits.
pub struct Answer {
    port: Arc<Port>,
    id: u64,
    reply: reply_queue::ReplyReceiver,
    over: bool,
}

impl Answer {
    /// The next thing that has come.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<ReplyEvent, WorkerGone>> {
        let event = ready!(self.reply.poll_next(context));
        if let Ok(ReplyEvent::Credit(_)) = event {
            self.with_outgoing(FlowControl::note_credit_read);
        }
        Poll::Ready(event)
    }

    fn with_outgoing(&self, change: impl FnOnce(&mut FlowControl)) {
        self.port.with_pending(|pending| pending.get_mut(&self.id).map(|it| change(&mut it.outgoing)));
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

    /// What the worker has taken for it until now; nothing when the port is closed.
    pub(crate) fn times(&self) -> RequestTiming {
        let clock = self.port.with_pending(|pending| pending.get(&self.id).map(|pending| pending.clock));
        clock.flatten().map(Stopwatch::stop).unwrap_or_default()
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

    /// Grants the worker so much more credit.
    pub(crate) fn grant(&self, bytes: u64) {
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
            if !self.over && clock.is_taken() {
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
