//! What an app has asked of its host, and has no answer to yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{AbortHandle, AbortRegistration};

/// The requests of one worker's own, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct OutgoingCalls(Mutex<HashMap<u64, Open>>);

#[derive(Debug)]
struct Open {
    abort: AbortHandle,
    /// The host's request on whose behalf it is.
    parent: Option<u64>,
}

/// Why a request of the app's own is not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotBegun {
    /// As many are open as may be.
    TooMany,
    /// One with the same number is open.
    Repeated,
}

impl OutgoingCalls {
    /// Notes that one was begun, if fewer than `most` are open, which is asked while none begins or ends; what is returned tells when it
    /// is cancelled.
    ///
    /// # Errors
    /// It was not begun.
    pub(crate) fn begin(&self, id: u64, most: impl FnOnce() -> usize) -> Result<AbortRegistration, NotBegun> {
        let mut open = self.open();
        if open.len() >= most() {
            return Err(NotBegun::TooMany);
        }
        let Entry::Vacant(place) = open.entry(id) else { return Err(NotBegun::Repeated) };
        let (abort, registration) = AbortHandle::new_pair();
        place.insert(Open { abort, parent: None });
        Ok(registration)
    }

    /// Notes on behalf of which of the host's requests one is.
    pub(crate) fn set_parent(&self, id: u64, parent: u64) {
        if let Some(open) = self.open().get_mut(&id) {
            open.parent = Some(parent);
        }
    }

    /// Notes that one is over, and does `with` while none begins; on behalf of which of the host's requests it was.
    pub(crate) fn end(&self, id: u64, with: impl FnOnce()) -> Option<u64> {
        let mut open = self.open();
        with();
        open.remove(&id)?.parent
    }

    /// Cancels those with these numbers, as far as they are not over.
    pub(crate) fn cancel(&self, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let cancelled: Vec<_> = {
            let open = self.open();
            ids.iter().filter_map(|id| open.get(id)).map(|open| open.abort.clone()).collect()
        };
        // It wakes tasks, which is done without the lock.
        cancelled.iter().for_each(AbortHandle::abort);
    }

    /// Cancels all.
    pub(crate) fn cancel_all(&self) {
        let cancelled: Vec<_> = self.open().values().map(|open| open.abort.clone()).collect();
        cancelled.iter().for_each(AbortHandle::abort);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// An answer that is not read counts as one that is open.
    #[test]
    fn no_more_begin_than_may_be_open_while_others_are_answered() {
        const MOST: usize = 8;
        for _ in 0..500 {
            let (calls, answers) = (OutgoingCalls::default(), AtomicUsize::new(0));
            let most = || MOST - answers.load(Ordering::Relaxed);
            let begun = thread::scope(|scope| {
                scope.spawn(|| {
                    while answers.load(Ordering::Relaxed) < MOST {
                        let open = calls.open().keys().next().copied();
                        if let Some(id) = open {
                            calls.end(id, || {
                                answers.fetch_add(1, Ordering::Relaxed);
                            });
                        }
                    }
                });
                (0..10 * MOST as u64).filter(|id| calls.begin(*id, most).is_ok()).count()
            });
            assert_eq!(begun, MOST);
        }
    }
}
