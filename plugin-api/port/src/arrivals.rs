//! What many threads hand to a task that sleeps: it is woken once for all that comes until it looks again.

use std::task::Waker;

use super::sync::{AtomicBool, AtomicWaker, Ordering, SegQueue};

/// A queue, and the task that takes from it.
pub(crate) struct Arrivals<T> {
    queue: SegQueue<T>,
    /// Whether the task sleeps and must be woken.
    asleep: AtomicBool,
    waker: AtomicWaker,
}

impl<T> Default for Arrivals<T> {
    fn default() -> Self {
        Self { queue: SegQueue::new(), asleep: AtomicBool::new(false), waker: AtomicWaker::new() }
    }
}

impl<T> Arrivals<T> {
    /// Hands something over, from any thread.
    pub(crate) fn push(&self, item: T) {
        self.queue.push(item);
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The next that has come.
    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Wakes the task, whether something has come or not.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// The task has taken all and is about to sleep: what comes from now on wakes it.
    pub(crate) fn sleep(&self, waker: &Waker) {
        self.waker.register(waker);
        self.asleep.store(true, Ordering::SeqCst);
        // What was pushed before the store found the task awake and did not wake it.
        if !self.queue.is_empty() && self.asleep.swap(false, Ordering::SeqCst) {
            waker.wake_by_ref();
        }
    }
}
