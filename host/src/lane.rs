//! The way back of replies: one lane per thread that waits for them.
//!
//! Workers complete tickets from their own threads. A lane is woken once for all that has come until it looks
//! again, so that a busy HTTP thread pays one wake-up for many replies.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use atoll_plugin::abi::Message;
use crossbeam_queue::SegQueue;
use futures_util::task::AtomicWaker;
use slab::Slab;

/// The worker has ended, and the request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker ended before it answered")]
pub struct Gone;

/// What comes back for a ticket.
pub(crate) type Completion = Result<Message, Gone>;

/// The half of a lane that other threads see.
struct Shared {
    completed: SegQueue<(usize, Completion)>,
    /// Whether the lane's pump sleeps and must be woken.
    asleep: AtomicBool,
    waker: AtomicWaker,
}

/// The right to complete one reply, from any thread. Dropped, it completes it with [`Gone`]; so every reply ends.
pub(crate) struct Ticket {
    lane: Arc<Shared>,
    key: usize,
    open: bool,
}

impl Ticket {
    /// Hands the completion to the one that waits.
    pub(crate) fn complete(mut self, completion: Completion) {
        self.push(completion);
    }

    fn push(&mut self, completion: Completion) {
        if std::mem::replace(&mut self.open, false) {
            self.lane.completed.push((self.key, completion));
            if self.lane.asleep.swap(false, Ordering::SeqCst) {
                self.lane.waker.wake();
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.push(Err(Gone));
    }
}

enum Slot {
    Waiting(Option<Waker>),
    Done(Completion),
    /// Nobody waits any more; the key stays taken until its ticket is completed.
    Left,
}

/// One thread's lane.
struct Lane {
    shared: Arc<Shared>,
    slots: RefCell<Slab<Slot>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Lane>>> = const { RefCell::new(None) };
}

/// Opens a reply on this thread's lane.
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet), on which the lane's pump runs; actix threads are inside one.
pub(crate) fn open() -> (Ticket, Reply) {
    let lane = CURRENT.with_borrow_mut(|current| current.get_or_insert_with(Lane::start).clone());
    let key = lane.slots.borrow_mut().insert(Slot::Waiting(None));
    (Ticket { lane: lane.shared.clone(), key, open: true }, Reply { lane, key, done: false })
}

impl Lane {
    fn start() -> Rc<Self> {
        let shared =
            Shared { completed: SegQueue::new(), asleep: AtomicBool::new(false), waker: AtomicWaker::new() };
        let lane = Rc::new(Self { shared: Arc::new(shared), slots: RefCell::default() });
        tokio::task::spawn_local(Pump(lane.clone()));
        lane
    }

    /// Gives what has come to those that wait for it.
    fn deliver(&self) {
        while let Some((key, completion)) = self.shared.completed.pop() {
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.get_mut(key) else { continue };
            match std::mem::replace(slot, Slot::Done(completion)) {
                Slot::Waiting(Some(waker)) => {
                    drop(slots);
                    waker.wake();
                }
                Slot::Waiting(None) | Slot::Done(_) => {}
                Slot::Left => drop(slots.remove(key)),
            }
        }
    }
}

/// Delivers whenever the lane is woken, as long as the thread's runtime lives.
struct Pump(Rc<Lane>);

impl Future for Pump {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = &self.0.shared;
        self.0.deliver();
        shared.waker.register(context.waker());
        shared.asleep.store(true, Ordering::SeqCst);
        // What was pushed between the delivery and the store found the lane awake and did not wake it.
        if !shared.completed.is_empty() && shared.asleep.swap(false, Ordering::SeqCst) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // The runtime ends; a later one on this thread starts a lane of its own. At thread exit the place is gone.
        let _ = CURRENT.try_with(|current| {
            current.borrow_mut().take_if(|lane| Rc::ptr_eq(lane, &self.0));
        });
    }
}

/// Waits for one completion.
pub(crate) struct Reply {
    lane: Rc<Lane>,
    key: usize,
    done: bool,
}

impl Reply {
    /// Whether the completion has been taken.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }
}

impl Future for Reply {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Completion> {
        let lane = self.lane.clone();
        let mut slots = lane.slots.borrow_mut();
        if let Slot::Waiting(waker) = &mut slots[self.key] {
            match waker {
                Some(waker) => waker.clone_from(context.waker()),
                None => *waker = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        self.done = true;
        match slots.remove(self.key) {
            Slot::Done(completion) => Poll::Ready(completion),
            Slot::Waiting(_) | Slot::Left => unreachable!("a reply that is polled waits or is done"),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut slots = self.lane.slots.borrow_mut();
        match &mut slots[self.key] {
            Slot::Done(_) => {
                let done = slots.remove(self.key);
                drop(slots);
                drop(done);
            }
            waiting => *waiting = Slot::Left,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn on_local_set<F: Future>(work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, work)
    }

    #[test]
    fn replies_from_other_threads_arrive_and_keys_are_not_reused_early() {
        // Twice: the second runtime on this thread must get a lane of its own.
        for _ in 0..2 {
            on_local_set(async {
                let (ticket, reply) = open();
                let left_key = {
                    let (late, left) = open();
                    let key = left.key;
                    drop(left);
                    let (_other, fresh) = open();
                    assert_ne!(fresh.key, key, "the ticket of the one that left is still out");
                    drop(late);
                    key
                };
                std::thread::spawn(move || ticket.complete(Ok(Message::default())));
                assert!(reply.await.is_ok());
                let (_ticket, mut next) = open();
                assert!((&mut next).now_or_never().is_none());
                assert!(next.key <= left_key + 1);
            });
        }
    }

    #[test]
    fn a_dropped_ticket_is_gone() {
        on_local_set(async {
            let (ticket, reply) = open();
            drop(ticket);
            assert_eq!(reply.await.unwrap_err(), Gone);
        });
    }
}
