//! Those that wait for an answer of a supervisor.

use tokio::sync::oneshot;

use crate::app::lifecycle::Number;
use crate::app::unavailable::Unavailable;
use crate::library::inspect::Inspected;

/// Those that wait for an answer. When they get it is the lifecycle's decision; one that has left gets none.
#[derive(Default)]
pub(super) struct Waiters {
    /// For a generation that serves.
    pub(super) calls: Vec<oneshot::Sender<Result<(), Unavailable>>>,
    /// For the outcome of a reload.
    pub(super) reloads: Vec<oneshot::Sender<Result<Number, String>>>,
    /// Until no generation is left.
    pub(super) stops: Vec<oneshot::Sender<()>>,
    /// Until this generation is gone, for the copy of its library.
    pub(super) gone: Vec<(Number, oneshot::Sender<Option<Inspected>>)>,
    /// Until the supervisor has ended.
    pub(super) closes: Vec<oneshot::Sender<()>>,
}

impl Waiters {
    /// Takes those that wait for this generation to be gone.
    pub(super) fn take_gone(
        &mut self,
        number: Number,
    ) -> impl Iterator<Item = oneshot::Sender<Option<Inspected>>> {
        self.gone.extract_if(.., move |(gone, _)| *gone == number).map(|(_, waiter)| waiter)
    }
}

/// Answers all of `waiters`.
pub(super) fn answer<T: Clone>(waiters: &mut Vec<oneshot::Sender<T>>, answer: &T) {
    for waiter in waiters.drain(..) {
        let _ = waiter.send(answer.clone());
    }
}
