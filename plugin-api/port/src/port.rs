//! The host's end of a port: the worker's inbox, and the requests that it has not answered yet.

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use atoll_protocol::abi::{Buffer, Message};
use atoll_protocol::{self as protocol, ErrorObject, HttpRequest, Incoming, IndexedText, Response, code};
use foldhash::{HashMap, HashMapExt};
use serde::Serialize;
use tokio::time::Instant;

use crate::background::BackgroundCount;
use crate::call_context::CallContext;
use crate::call_sink::{CallSink, OutgoingCall};
use crate::flow_control::FlowControl;
use crate::message::{message, to_json};
use crate::outgoing_calls::{NotBegun, OutgoingCalls};
use crate::problem::Problem;
use crate::reply_queue::ReplySender;
use crate::timing::{RequestTiming, Stopwatch};
use crate::transport::{Inlet, Item, Transport};
use crate::warnings::{WarningKind, Warnings};
use crate::worker_message::{CallRequest, ReplyEvent, WorkerMessage, WorkerMessageError};

/// What a worker may do to its host.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many requests may wait in its inbox.
    pub queue: usize,
    /// How many requests from the app may be open or have unread responses.
    pub calls: usize,
    /// How many bytes the text of a message may have.
    pub message: usize,
}

/// A request that is to be answered.
pub(crate) struct Pending {
    pub(crate) sender: ReplySender,
    /// What the calls carry on that the app makes for it.
    pub(crate) context: Option<CallContext>,
    /// The numbers of those calls, as far as they are not over.
    pub(crate) calls: Vec<u64>,
    pub(crate) clock: Stopwatch,
    pub(crate) outgoing: FlowControl,
}

/// The times of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTimes {
    pub(crate) sent: std::time::Instant,
    pub(crate) deadline: Option<std::time::Instant>,
}

/// A port between the host and one worker.
///
/// How it reaches its worker is up to its [`Transport`]. What the worker sends comes to [`accept`](Self::accept), whatever
/// brings it.
pub struct Port {
    this: Weak<Self>,
    app: Arc<str>,
    pub(crate) transport: Arc<dyn Transport>,
    /// Requests that the worker has not taken yet.
    pub(crate) waiting: AtomicUsize,
    /// Answers that the worker has not taken yet.
    answers: AtomicUsize,
    pub(crate) limits: Limits,
    warnings: Arc<dyn Warnings>,
    pub(crate) next_id: AtomicU64,
    /// The requests to be answered, by number; `None` when the port is closed.
    pub(crate) pending: Mutex<Option<HashMap<u64, Pending>>>,
    /// The number of the request whose code the worker runs now; 0: none. Of a worker in this process.
    pub(crate) running: AtomicU64,
    call_sink: Arc<dyn CallSink>,
    pub(crate) calls: OutgoingCalls,
    /// What the worker does besides its requests.
    pub(crate) background: BackgroundCount,
    closed: AtomicBool,
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
    /// A port to a worker of `app`, with the transport that is made for it. It reports to `warnings` what the worker does against the
    /// protocol; `call_sink` carries out the worker's calls.
    pub fn new(
        app: Arc<str>,
        limits: Limits,
        warnings: Arc<dyn Warnings>,
        call_sink: Arc<dyn CallSink>,
        transport: impl FnOnce(&Weak<Self>) -> Arc<dyn Transport>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            app,
            transport: transport(this),
            waiting: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            limits,
            warnings,
            // Odd numbers are the host's, even ones the app's.
            next_id: AtomicU64::new(1),
            pending: Mutex::new(Some(HashMap::new())),
            running: AtomicU64::new(0),
            call_sink,
            calls: OutgoingCalls::default(),
            background: BackgroundCount::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// The message of what [`Transport::put`] was given, for the worker that takes it now; `None`: it is no longer
    /// pending.
    pub fn hand_out(&self, item: Item) -> Option<Message> {
        match item {
            Item::Request(id, text, transfer) => self.hand_out_request(id, text, transfer),
            Item::Notification(message) => Some(message),
            Item::Answer(message) => {
                self.note_answer_taken();
                Some(message)
            }
            Item::Wake => None,
        }
    }

    /// Sends a notification, which is never refused: a closed port has nobody to tell.
    pub fn notify(&self, method: &str, params: impl Serialize, transfer: Vec<Buffer>) {
        self.push(Item::Notification(message(
            to_json(&protocol::Request::notification(method, params)),
            transfer,
        )));
    }

    /// Ends a request of the app's own with its answer.
    pub fn answer_call(&self, id: u64, answer: &impl Serialize, transfer: Vec<Buffer>) {
        // At once: else it would count neither as open nor as answered for a moment, and one more than allowed could begin.
        self.over(id, || self.count_answer());
        self.push(Item::Answer(message(to_json(answer), transfer)));
    }

    fn count_answer(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes which requests the worker has taken until now.
    pub fn settle(&self) {
        self.transport.settle();
    }

    /// How much the worker has read, in a unit of the transport's; `None`: nothing is there that it could read. A worker for
    /// which this stays the same takes nothing of what is sent to it.
    pub fn unread(&self) -> Option<u64> {
        self.transport.unread()
    }

    /// Where what the worker sends waits to be fetched, if it does not bring it itself.
    pub fn inlet(&self) -> Option<&Arc<dyn Inlet>> {
        self.transport.inlet()
    }

    /// The app's name.
    pub fn app(&self) -> &Arc<str> {
        &self.app
    }

    /// Closes the port: the worker's next `receive` reports it, pending requests get [`WorkerGone`](crate::WorkerGone),
    /// and what the app has asked for is cancelled.
    pub fn close(&self) {
        self.transport.settle();
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
        self.background.set(0);
        self.push(Item::Wake);
    }

    /// Whether the port is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// How many requests wait in the inbox.
    pub fn waiting(&self) -> usize {
        self.transport.settle();
        self.waiting.load(Ordering::Relaxed)
    }

    /// The message of a request, with the time that is left for it; `None` when its deadline has passed, or its client
    /// has left.
    fn hand_out_request(&self, id: u64, mut text: IndexedText, transfer: Option<Buffer>) -> Option<Message> {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let left = self.with_pending(|pending| pending.get_mut(&id).and_then(Pending::hand_out))??;
        if let Some(left) = left {
            // Methods of the app's own have none to be changed.
            let _ = HttpRequest::set_deadline(
                &mut text.json,
                u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            );
        }
        Some(message(text, transfer.into_iter().collect()))
    }

    /// What the calls carry on that the worker makes for a request; `None`: it has none, or is no longer pending.
    pub fn context_of(&self, id: u64) -> Option<CallContext> {
        self.with_pending(|pending| pending.get(&id).and_then(|pending| pending.context.clone()))?
    }

    /// Ends a request which the worker does not answer, or whose answer it does not complete, for this reason.
    pub fn fail(&self, id: u64, problem: Problem) {
        self.with_pending(|pending| {
            if let Some(Pending { sender, outgoing, .. }) = pending.get_mut(&id)
                && let Some(event) = outgoing.fail(problem)
            {
                sender.send(event);
            }
        });
    }

    /// When a request was sent and has to be answered; `None`: it is no longer pending.
    pub(crate) fn times_of(&self, id: u64) -> Option<RequestTimes> {
        self.with_pending(|pending| {
            let pending = pending.get(&id)?;
            let deadline = pending.context.as_ref().and_then(CallContext::deadline);
            Some(RequestTimes { sent: pending.clock.sent(), deadline: deadline.map(Instant::into_std) })
        })?
    }

    /// Notes that a request is no longer in the inbox: the worker has taken it, or it is no longer pending.
    pub(crate) fn leave_inbox(&self, id: u64) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.with_pending(|pending| {
            if let Some(Pending { clock, .. }) =
                pending.get_mut(&id).filter(|pending| !pending.clock.is_taken())
            {
                clock.take(std::time::Instant::now());
            }
        });
    }

    /// Notes that the worker has taken the answer to a request of the app's own.
    pub(crate) fn note_answer_taken(&self) {
        self.answers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes when the worker has taken a request.
    pub(crate) fn note_taken(&self, id: u64, when: std::time::Instant) {
        self.with_pending(|pending| {
            if let Some(Pending { clock, .. }) = pending.get_mut(&id) {
                clock.take(when.max(clock.sent()));
            }
        });
    }

    /// Takes a message of the worker's, on any thread. `false`: the port is closed.
    pub fn accept(&self, sent: Message) -> bool {
        if sent.json.len() > self.limits.message {
            self.too_large(&sent.json);
            return !self.is_closed();
        }
        match WorkerMessage::parse(sent) {
            Ok(WorkerMessage::ReplyEvent(id, event)) => self.take_event(id, event),
            Ok(WorkerMessage::CallRequest(id, request)) => self.begin_call(id, request),
            Ok(WorkerMessage::Cancel(id)) => self.calls.cancel(&[id]),
            Ok(WorkerMessage::Background(count)) => self.background.set(count),
            Err(error) => {
                let kind = match error {
                    WorkerMessageError::Malformed(_) => WarningKind::Malformed,
                    WorkerMessageError::NoNumber => WarningKind::Numberless,
                    WorkerMessageError::Unknown(_) => WarningKind::Unknown,
                };
                self.warn(kind, &error);
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
                self.warn(WarningKind::Credit, &format_args!("{breach}, for request {id}"));
            }
            // One that was asked may be answered after whoever asked has left.
            Some(None) if is_answer && !self.has_asked(id) => {
                let what = format_args!("the app responded to the unknown request {id}");
                self.warn(WarningKind::Answer, &what);
            }
            _ => {}
        }
    }

    fn warn(&self, kind: WarningKind, what: &dyn Display) {
        self.warnings.clone().warn(kind, what);
    }

    /// Answers for what is too large to be read as a whole.
    fn too_large(&self, json: &[u8]) {
        let (bytes, limit) = (json.len(), self.limits.message);
        let what = format!("a message from the app has {bytes} bytes, more than message_limit = {limit}");
        self.warn(WarningKind::MessageSize, &what);
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
            self.count_answer();
            self.push(Item::Answer(message(to_json(&Response::error(id, error)), Vec::new())));
        } else if !self.is_closed() {
            log::error!(
                "{}: closing the port of a worker that makes calls without reading the responses (max_calls = {})",
                self.app,
                self.limits.calls
            );
            self.close();
        }
    }

    fn begin_call(&self, id: u64, request: CallRequest) {
        let Some(port) = self.this.upgrade() else { return };
        self.transport.settle();
        let most = || self.limits.calls.saturating_sub(self.answers.load(Ordering::Relaxed));
        let cancelled = match self.calls.begin(id, most) {
            Ok(cancelled) => cancelled,
            Err(why) => {
                let (code, what) = match why {
                    NotBegun::TooMany => {
                        let calls = self.limits.calls;
                        let what = format!(
                            "a worker has reached its limit of {calls} calls in flight or with unread responses \
                            (max_calls = {calls})"
                        );
                        (code::UNAVAILABLE, what)
                    }
                    NotBegun::Repeated => {
                        (code::INVALID_REQUEST, format!("the app reused the request id {id}"))
                    }
                };
                self.warn(WarningKind::Calls, &what);
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
    pub fn adopt_call(&self, id: u64, parent: u64) -> Option<Option<CallContext>> {
        self.with_pending(|pending| {
            let pending = pending.get_mut(&parent)?;
            pending.calls.push(id);
            self.calls.set_parent(id, parent);
            Some(pending.context.clone())
        })?
    }

    /// Ends a request of the app's own without an answer.
    pub fn end_call(&self, id: u64) {
        self.over(id, || ());
    }

    fn over(&self, id: u64, with: impl FnOnce()) {
        if let Some(parent) = self.calls.end(id, with) {
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

    pub(crate) fn push(&self, item: Item) {
        self.transport.put(item);
        self.transport.bell().ring();
    }

    pub(crate) fn with_pending<R>(&self, f: impl FnOnce(&mut HashMap<u64, Pending>) -> R) -> Option<R> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(f)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("app", &self.app).finish_non_exhaustive()
    }
}
