//! The transport to a worker on a thread of this process.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use atoll_protocol::abi::{Message, Received};
use crossbeam_channel::{Receiver, Sender};
use tokio::time::Instant;

use crate::call_sink::CallSink;
use crate::doorbell::Doorbell;
use crate::forked;
use crate::port::{Limits, Port};
use crate::transport::{Bell, Item, Transport};
use crate::warnings::Warnings;
use crate::worker_end::{WorkerEnd, WorkerPort};

/// Both ends of a port to a worker of `app` on a thread of this process. The host's one reports to `warnings` what the worker
/// does against the protocol; `call_sink` carries out the worker's calls.
pub fn port_to_thread(
    app: Arc<str>,
    limits: Limits,
    warnings: Arc<dyn Warnings>,
    call_sink: Arc<dyn CallSink>,
) -> (Arc<Port>, Arc<WorkerEnd>) {
    let transport = Arc::<InProcess>::default();
    let port = Port::new(app, limits, warnings, call_sink, |_port| transport.clone());
    let worker = ThreadPort { port: port.clone(), transport };
    (port, Arc::new(WorkerEnd::new(worker)))
}

/// A channel to a worker on a thread of this process, and its doorbell.
struct InProcess {
    inbox: Sender<Item>,
    outlet: Receiver<Item>,
    /// How much the worker has taken.
    read: AtomicU64,
    /// Whether the worker was woken and has not looked yet.
    woken: AtomicBool,
    doorbell: Arc<Doorbell>,
    bell: Arc<dyn Bell>,
}

impl Default for InProcess {
    fn default() -> Self {
        let (inbox, outlet) = crossbeam_channel::unbounded();
        let doorbell = Arc::<Doorbell>::default();
        let (read, woken) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { inbox, outlet, read, woken, bell: doorbell.clone(), doorbell }
    }
}

impl Transport for InProcess {
    fn put(&self, item: Item) {
        // This holds the other end itself, so the channel is never disconnected.
        let _ = self.inbox.send(item);
    }

    fn bell(&self) -> &Arc<dyn Bell> {
        &self.bell
    }

    fn unread(&self) -> Option<u64> {
        let read = self.read.load(Ordering::Relaxed);
        (!self.outlet.is_empty()).then_some(read)
    }
}

impl Bell for Doorbell {
    fn is_awaited(&self) -> bool {
        Doorbell::is_awaited(self)
    }

    fn ring(&self) {
        Doorbell::ring(self);
    }
}

/// The worker's end.
struct ThreadPort {
    port: Arc<Port>,
    transport: Arc<InProcess>,
}

impl ThreadPort {
    fn nothing_there(&self) -> bool {
        self.transport.outlet.is_empty() && !self.port.is_closed()
    }
}

impl WorkerPort for ThreadPort {
    fn receive(&self, timeout: Option<Duration>, into: &mut Message) -> Received {
        // Most calls only look, and need no clock.
        let looks_only = timeout == Some(Duration::ZERO);
        let until = timeout.filter(|_| !looks_only).and_then(|timeout| Instant::now().checked_add(timeout));
        let message = loop {
            if let Ok(item) = self.transport.outlet.try_recv() {
                self.transport.read.fetch_add(1, Ordering::Relaxed);
                match item {
                    Item::Wake => break None,
                    item => match self.port.hand_out(item) {
                        Some(message) => break Some(message),
                        // Nobody waits for it any more.
                        None => continue,
                    },
                }
            }
            if self.port.is_closed() {
                return Received::Closed;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if looks_only || left == Some(Duration::ZERO) {
                return Received::TimedOut;
            }
            forked::end_child();
            self.transport.doorbell.wait(left, || self.nothing_there());
        };
        if self.port.is_closed() {
            return Received::Closed;
        }
        match message {
            Some(message) => {
                *into = message;
                Received::Message
            }
            None => {
                self.transport.woken.store(false, Ordering::SeqCst);
                Received::Woken
            }
        }
    }

    fn send(&self, message: Message) -> bool {
        forked::end_child();
        self.port.accept(message)
    }

    fn wake(&self) {
        if !self.transport.woken.swap(true, Ordering::SeqCst) {
            self.transport.put(Item::Wake);
            self.transport.bell().ring();
        }
    }

    fn doorbell(&self) -> RawFd {
        self.transport.doorbell.descriptor()
    }

    fn sleep(&self) -> bool {
        forked::end_child();
        self.transport.doorbell.sleep(|| self.nothing_there())
    }

    fn running(&self) -> &AtomicU64 {
        &self.port.running
    }

    fn close(&self) {
        self.port.close();
    }
}
