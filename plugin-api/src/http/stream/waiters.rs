//! Tasks that wait for the same thing, each with its own waker.

use std::collections::BTreeMap;
use std::mem;
use std::task::{Context, Waker};

/// The wakers of tasks that wait. Wakers run code of the task's executor, so what is returned here is woken or dropped
/// after the lock around this has been released.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    last: u64,
    /// Mostly there is one, which needs no allocation.
    first: Option<(u64, Waker)>,
    more: BTreeMap<u64, Waker>,
}

/// The place of one task among [`Waiters`], empty until it waits.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<u64>);

/// The wakers of all tasks that waited.
#[must_use = "the tasks are not woken yet"]
pub(crate) struct Woken(Option<(u64, Waker)>, BTreeMap<u64, Waker>);

impl Waiters {
    /// Registers the task, or replaces its waker; returns the previous waker.
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn wait(&mut self, place: &mut Place, context: &Context<'_>) -> Option<Waker> {
        let key = *place.0.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        match &mut self.first {
            Some((first, waker)) if *first == key => {
                if waker.will_wake(context.waker()) {
                    return None;
                }
                Some(mem::replace(waker, context.waker().clone()))
            }
            None if !self.more.contains_key(&key) => {
                self.first = Some((key, context.waker().clone()));
                None
            }
            _ => self.more.insert(key, context.waker().clone()),
        }
    }

    /// Has the task wait no more; the waker that it had.
    #[must_use = "to be dropped without the lock"]
    pub(crate) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        let key = place.0.take()?;
        match self.first.take_if(|(first, _)| *first == key) {
            Some((_, waker)) => Some(waker),
            None => self.more.remove(&key),
        }
    }

    /// Takes all out.
    pub(crate) fn take(&mut self) -> Woken {
        Woken(self.first.take(), mem::take(&mut self.more))
    }
}

impl Place {
    /// Whether the task has waited since it was made or has left.
    pub(crate) fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

impl Woken {
    /// Wakes the tasks, in the order in which they began to wait.
    pub(crate) fn wake(self) {
        let Self(first, more) = self;
        if more.is_empty() {
            if let Some((_, waker)) = first {
                waker.wake();
            }
            return;
        }
        let mut all = more;
        all.extend(first);
        all.into_values().for_each(Waker::wake);
    }
}
