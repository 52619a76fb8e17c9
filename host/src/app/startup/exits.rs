//! Workers that end while their generation is started.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Passes on that a worker has ended; what happens before the generation is ready waits until it is.
#[derive(Clone)]
pub(super) struct Exits(Arc<Shared>);

struct Shared {
    report: Arc<dyn Fn(String) + Send + Sync>,
    held: Mutex<Held>,
}

/// What waits.
enum Held {
    /// The generation is started: why the first worker has ended, if one has.
    Starting(Option<String>),
    /// Nothing: the generation is ready.
    Ready,
}

impl Exits {
    pub(super) fn new(report: Arc<dyn Fn(String) + Send + Sync>) -> Self {
        Self(Arc::new(Shared { report, held: Mutex::new(Held::Starting(None)) }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker has ended unexpectedly; why.
    pub(super) fn report(&self, reason: String) {
        match &mut *self.held() {
            Held::Starting(first) => _ = first.get_or_insert(reason),
            Held::Ready => (self.0.report)(reason),
        }
    }

    /// The generation is ready. Without this, nothing is passed on.
    pub(super) fn open(&self) {
        if let Held::Starting(Some(reason)) = std::mem::replace(&mut *self.held(), Held::Ready) {
            (self.0.report)(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_before_the_generation_is_ready_waits_for_that() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        let exits = Exits::new(Arc::new(move |reason| into.lock().unwrap().push(reason)));
        let other = exits.clone();
        other.report("first".to_owned());
        other.report("second".to_owned());
        assert!(seen.lock().unwrap().is_empty());
        exits.open();
        other.report("third".to_owned());
        assert_eq!(*seen.lock().unwrap(), ["first", "third"]);
    }
}
