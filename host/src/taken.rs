//! When a worker has taken a request out of its inbox, for those who want to know how long it has waited there.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A place for that time, which fills when it comes.
#[derive(Clone, Debug, Default)]
pub struct Taken(Arc<OnceLock<Instant>>);

impl Taken {
    /// When it was; `None`: not yet.
    pub fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }

    /// Notes that it is now.
    pub(crate) fn note(&self) {
        // A request is taken once.
        let _ = self.0.set(Instant::now());
    }
}
