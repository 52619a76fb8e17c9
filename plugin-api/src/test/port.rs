//! The test's end of a port: what waits for the worker, and who waits for what it sends.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::buffer;
use super::event::{Endless, Event, Sent};
use super::others::Others;
use crate::abi::{Buffer, Message, Received};
use crate::protocol::{self, Cancel, Stream, WsClose, method};

/// With what code and reason a WebSocket is closed when its app is replaced.
pub(super) const RESTART: (u16, &str) = (1012, "the app is being replaced");

/// A port between a test and the worker of an app.
pub(super) struct Port {
    this: Weak<Self>,
    inbox: Mutex<Inbox>,
    bell: Condvar,
    /// Made when the app asks for it.
    doorbell: OnceLock<Option<OwnedFd>>,
    requests: Mutex<Requests>,
    /// Rung when a request is over.
    settled: Condvar,
    /// The apps that this one can call.
    others: Others,
}

#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    woken: bool,
    /// The worker waits for its doorbell.
    asleep: bool,
    closed: bool,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && !self.woken && !self.closed
    }
}

#[derive(Default)]
struct Requests {
    last: u64,
    open: HashMap<u64, Open>,
}

/// A request that the app has not finished yet.
struct Open {
    events: Sender<Event>,
    /// It is endless.
    endless: Option<Endless>,
}

impl Port {
    pub(super) fn new(others: Others) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            inbox: Mutex::default(),
            bell: Condvar::new(),
            doorbell: OnceLock::new(),
            requests: Mutex::default(),
            settled: Condvar::new(),
            others,
        })
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the request that `json` writes for the given id; returns the id and the app's events for it.
    /// From a worker that has ended nothing comes.
    pub(super) fn ask(
        &self,
        json: impl FnOnce(u64) -> Vec<u8>,
        transfer: Vec<Buffer>,
    ) -> (u64, Receiver<Event>) {
        let (events, receiver) = channel();
        let id = {
            let mut requests = self.requests();
            // Odd numbers are the host's, even ones the app's.
            let id = requests.last * 2 + 1;
            requests.last += 1;
            if !self.inbox().closed {
                requests.open.insert(id, Open { events, endless: None });
            }
            id
        };
        self.send(json(id), transfer);
        (id, receiver)
    }

    /// Sends a notification.
    pub(super) fn notify(&self, method: &str, params: impl Serialize) {
        self.send(to_json(&protocol::Request::notification(method, params)), Vec::new());
    }

    /// Sends the worker a message.
    pub(super) fn send(&self, json: Vec<u8>, transfer: Vec<Buffer>) {
        let message = Message { json: buffer::from_vec(json), transfer: buffer::list(transfer) };
        self.change(|inbox| inbox.messages.push_back(message));
    }

    /// Sends a piece of a request's body.
    pub(super) fn send_chunk(&self, id: u64, bytes: Vec<u8>) {
        self.send(Stream { id }.chunk_message(), vec![buffer::from_vec(bytes)]);
    }

    /// This request is no longer pending.
    pub(super) fn forget(&self, id: u64) {
        if self.requests().open.remove(&id).is_some() {
            self.notify(method::CANCEL, Cancel { id });
            self.settled.notify_all();
        }
    }

    /// Ends endless streams, as a host does when the app is replaced.
    pub(super) fn end_endless(&self) {
        let mut ended = Vec::new();
        for (id, open) in &mut self.requests().open {
            let Some(endless) = open.endless.take() else { continue };
            // The test may have let go of it just now.
            let _ = open.events.send(Event::Replaced);
            ended.push((*id, endless));
        }
        for (id, endless) in ended {
            match endless {
                Endless::WebSocket => {
                    let (code, reason) = RESTART;
                    self.notify(method::WS_CLOSE, WsClose { id, code, reason: reason.into() });
                }
                Endless::Events | Endless::Tunnel => self.notify(method::CANCEL, Cancel { id }),
            }
        }
    }

    /// Waits until the app has finished all requests; how many it has not when the time is over.
    pub(super) fn settle(&self, patience: Duration) -> usize {
        let requests = self.requests();
        let waited = self.settled.wait_timeout_while(requests, patience, |it| !it.open.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.open.len()
    }

    /// How many requests the app has not finished.
    pub(super) fn open(&self) -> usize {
        self.requests().open.len()
    }

    /// The apps that this one can call.
    pub(super) fn others(&self) -> &Others {
        &self.others
    }

    /// Closes the port: the worker's next `receive` reports it, and all pending requests end.
    pub(super) fn close(&self) {
        self.change(|inbox| inbox.closed = true);
        self.requests().open.clear();
        self.settled.notify_all();
        self.others.cancel_all();
    }

    fn change(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = self.inbox();
        change(&mut inbox);
        let asleep = std::mem::take(&mut inbox.asleep);
        drop(inbox);
        self.bell.notify_all();
        if let Some(Some(doorbell)) = self.doorbell.get().filter(|_| asleep) {
            let one = 1_u64;
            // It fails only when the counter is full, and then it is readable already.
            // SAFETY: the descriptor is open, and the 8 bytes are those of `one`.
            unsafe { libc::write(doorbell.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }
}

/// What the worker does.
impl Port {
    pub(super) fn receive(&self, timeout: Option<Duration>, into: &mut Message) -> Received {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut inbox = self.inbox();
        loop {
            if inbox.closed {
                return Received::Closed;
            }
            if let Some(message) = inbox.messages.pop_front() {
                *into = message;
                return Received::Message;
            }
            if std::mem::take(&mut inbox.woken) {
                return Received::Woken;
            }
            inbox = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return Received::TimedOut,
                Some(left) => self.bell.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.bell.wait(inbox).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Takes a message of the app's; `false`: the port is closed.
    pub(super) fn accept(&self, message: Message) -> bool {
        match Sent::parse(message) {
            Ok(Sent::Event(id, event)) => {
                let mut requests = self.requests();
                if let Some(open) = requests.open.get_mut(&id) {
                    let endless = event.begins();
                    let last = event.is_last();
                    open.endless = endless.or(open.endless);
                    // The test may have let go of it just now.
                    let _ = open.events.send(event);
                    if last {
                        requests.open.remove(&id);
                        self.settled.notify_all();
                    }
                }
            }
            Ok(Sent::Request(id, request)) => {
                if let Some(port) = self.this.upgrade() {
                    Others::take(&port, id, request);
                }
            }
            Ok(Sent::Cancel(id)) => self.others.cancel(id),
            Err(error) => eprintln!("malformed message from the app: {error}"),
        }
        !self.inbox().closed
    }

    pub(super) fn wake(&self) {
        self.change(|inbox| inbox.woken = true);
    }

    /// The eventfd that wakes an app with its own event loop; negative if the system cannot create one.
    pub(super) fn doorbell(&self) -> RawFd {
        let make = || {
            // SAFETY: no preconditions.
            let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            // SAFETY: it has just been made, and nothing else owns it.
            (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
        };
        self.doorbell.get_or_init(make).as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    pub(super) fn sleep(&self) -> bool {
        let mut inbox = self.inbox();
        let may = inbox.is_empty();
        // Another thread may sleep already.
        inbox.asleep |= may;
        may
    }
}

pub(super) fn to_json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message of the protocol can be written as JSON")
}
