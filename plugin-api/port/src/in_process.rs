//! The transport to a worker on a thread of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use crossbeam_channel::{Receiver, Sender};

use crate::doorbell::Doorbell;
use crate::transport::{Bell, Item, Transport};

/// A channel to a worker on a thread of this process, and its doorbell.
pub struct InProcess {
    inbox: Sender<Item>,
    pub(crate) outlet: Receiver<Item>,
    /// Whether the worker was woken and has not looked yet.
    pub(crate) woken: AtomicBool,
    pub(crate) doorbell: Arc<Doorbell>,
    /// How many counts of its port the library has.
    pub(crate) lent: AtomicUsize,
}

impl Default for InProcess {
    fn default() -> Self {
        let (inbox, outlet) = crossbeam_channel::unbounded();
        Self {
            inbox,
            outlet,
            woken: AtomicBool::new(false),
            doorbell: Arc::default(),
            lent: AtomicUsize::new(0),
        }
    }
}

impl Transport for InProcess {
    type Bell = Doorbell;

    fn put(&self, item: Item) {
        // This holds the other end itself, so the channel is never disconnected.
        let _ = self.inbox.send(item);
    }

    fn bell(&self) -> &Arc<Doorbell> {
        &self.doorbell
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
