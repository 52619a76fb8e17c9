//! What carries a port's messages to its worker.

use std::sync::Arc;

use atoll_protocol::IndexedText;
use atoll_protocol::abi::{Buffer, Message};

/// What a host sends to a worker. It becomes a message when the worker takes it: [`Port::hand_out`](crate::Port::hand_out).
pub enum Item {
    /// A request with its number and its text, which is not a message yet: its deadline may have to be changed, and it is not
    /// handed out at all when it is no longer pending.
    Request(u64, IndexedText, Option<Buffer>),
    /// A notification.
    Notification(Message),
    /// The answer to a request of the app's own.
    Answer(Message),
    /// Nothing: the worker is to look whether the port is closed, or whether it was woken.
    Wake,
}

/// Wakes a worker that sleeps.
pub trait Bell: Send + Sync {
    /// Whether the worker sleeps, and does not see what is put in before it is woken.
    fn is_awaited(&self) -> bool;

    /// Wakes the worker, if it sleeps.
    fn ring(&self);
}

/// Carries what a host sends to a worker.
pub trait Transport: Send + Sync {
    /// Puts something in, behind what is there. It is not refused, and does not wake the worker.
    fn put(&self, item: Item);

    /// What wakes the worker. It is apart, so that a thread that has sent much wakes each worker once.
    fn bell(&self) -> &Arc<dyn Bell>;

    /// How much the worker has read, in a unit of the transport's; `None`: nothing is there that it could read.
    fn unread(&self) -> Option<u64>;

    /// Where what the worker sends waits to be fetched. `None`: the worker's own thread brings it to
    /// [`Port::accept`](crate::Port::accept).
    fn inlet(&self) -> Option<&Arc<dyn Inlet>> {
        None
    }

    /// Notes which requests the worker has taken until now, where it does not come about by
    /// [`Port::hand_out`](crate::Port::hand_out).
    fn settle(&self) {}

    /// Takes a request back that the worker is not known to have taken. Whether it may have taken it all the same.
    fn withdraw(&self, _id: u64) -> bool {
        false
    }
}

/// Where what a worker sends waits until a thread of the host fetches it.
pub trait Inlet: Send + Sync {
    /// Fetches all that is there, for whichever thread waits for it.
    fn fetch(&self);

    /// Whether something is there.
    fn is_filled(&self) -> bool;
}
