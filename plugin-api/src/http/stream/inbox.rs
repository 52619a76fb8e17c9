//! What has come in on a stream, and the tasks that wait for it.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::sync::{Mutex, MutexGuard, PoisonError};
use super::waiters::{Place, Waiters};

/// Items `T` up to an end, which may be an error `E`.
#[derive(Debug)]
pub(crate) struct Inbox<T, E>(Mutex<State<T, E>>);

#[derive(Debug)]
struct State<T, E> {
    items: VecDeque<T>,
    /// How it has ended.
    ended: Option<Result<(), E>>,
    waiters: Waiters,
}

impl<T, E> Default for Inbox<T, E> {
    fn default() -> Self {
        Self(Mutex::new(State { items: VecDeque::new(), ended: None, waiters: Waiters::default() }))
    }
}

impl<T, E> Inbox<T, E> {
    fn state(&self) -> MutexGuard<'_, State<T, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in, unless it has ended.
    pub(crate) fn put(&self, item: T) {
        let mut state = self.state();
        if state.ended.is_some() {
            // The lock is released before the item is dropped.
            drop(state);
            return;
        }
        state.items.push_back(item);
        let woken = state.waiters.take();
        drop(state);
        woken.wake();
    }

    /// Ends it. The first end counts.
    pub(crate) fn end(&self, how: Result<(), E>) {
        let mut state = self.state();
        state.ended.get_or_insert(how);
        let woken = state.waiters.take();
        drop(state);
        woken.wake();
    }

    /// Whether more items may come.
    pub(crate) fn is_open(&self) -> bool {
        self.state().ended.is_none()
    }

    /// The next item; `None` at the end. An error is returned once.
    pub(crate) fn poll_next(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, E>>> {
        let mut state = self.state();
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Some(Ok(item)));
        }
        if let Some(how) = &mut state.ended {
            return Poll::Ready(std::mem::replace(how, Ok(())).err().map(Err));
        }
        let before = state.waiters.wait(place, context);
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Has a task wait no more.
    pub(crate) fn leave(&self, place: &mut Place) {
        if place.is_taken() {
            let waker = self.state().waiters.leave(place);
            drop(waker);
        }
    }
}
