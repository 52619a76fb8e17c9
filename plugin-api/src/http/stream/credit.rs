//! How much may be sent on a stream, and the tasks that wait until it is more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::sync::{Mutex, MutexGuard, PoisonError};
use super::waiters::{Place, Waiters};

/// Nobody receives the stream any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// The credit of one stream, which any number of tasks use.
#[derive(Debug)]
pub(crate) struct Credit(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Below zero when the last piece was larger.
    left: i64,
    closed: bool,
    waiters: Waiters,
}

impl Credit {
    pub(crate) fn new(left: u64) -> Self {
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        Self(Mutex::new(State { left, closed: false, waiters: Waiters::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds credit.
    pub(crate) fn grant(&self, amount: u64) {
        let mut state = self.state();
        state.left = state.left.saturating_add(i64::try_from(amount).unwrap_or(i64::MAX));
        let woken = (state.left > 0).then(|| state.waiters.take());
        drop(state);
        if let Some(woken) = woken {
            woken.wake();
        }
    }

    /// Ends all waiting, now and later.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let woken = state.waiters.take();
        drop(state);
        woken.wake();
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Takes off what something costs that is sent now, in addition to what was spent for it.
    pub(crate) fn take(&self, cost: u64) {
        let mut state = self.state();
        state.left = state.left.saturating_sub(i64::try_from(cost).unwrap_or(i64::MAX));
    }

    /// Waits until there is credit, and takes off `cost`; with a cost of zero, it only waits. What costs more than there
    /// is may be sent as well, and what comes after it waits.
    pub(crate) fn spend(&self, cost: u64) -> Spend<'_> {
        Spend { credit: self, cost, place: Place::default() }
    }
}

/// The future of [`Credit::spend`].
#[derive(Debug)]
pub(crate) struct Spend<'a> {
    credit: &'a Credit,
    cost: u64,
    place: Place,
}

impl Future for Spend<'_> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { credit, cost, place } = self.get_mut();
        let mut state = credit.state();
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        if state.left > 0 {
            state.left = state.left.saturating_sub(i64::try_from(*cost).unwrap_or(i64::MAX));
            return Poll::Ready(Ok(()));
        }
        let before = state.waiters.wait(place, context);
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Spend<'_> {
    fn drop(&mut self) {
        if self.place.is_taken() {
            let waker = self.credit.state().waiters.leave(&mut self.place);
            drop(waker);
        }
    }
}
