//! Work that belongs to no request, which an app has its worker do after its answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One piece of it.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The work of one worker: what it has not begun, and how much there is.
#[derive(Default)]
pub(crate) struct Background {
    /// Whether some is new, so that a worker which has none takes no lock.
    has_new: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    new: Vec<Work>,
    count: usize,
}

impl Background {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, work: Work) {
        self.state().new.push(work);
        self.has_new.store(true, Ordering::Release);
    }

    /// Takes what is new.
    pub(crate) fn take_new(&self) -> Vec<Work> {
        if self.has_new.swap(false, Ordering::Acquire) {
            std::mem::take(&mut self.state().new)
        } else {
            Vec::new()
        }
    }

    /// Changes how much there is, and reports that before anyone else changes it.
    pub(crate) fn count(&self, change: impl FnOnce(usize) -> usize, report: impl FnOnce(usize)) {
        let mut state = self.state();
        state.count = change(state.count);
        report(state.count);
    }
}
