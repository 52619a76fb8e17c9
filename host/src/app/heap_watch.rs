//! Whether an app's heap has grown above what is wanted.

use std::time::{Duration, Instant};

/// How often the heap is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a generation that has replaced another because of its heap is left alone: one that needs more than the limit
/// at once would be replaced without end.
const PATIENCE: Duration = Duration::from_secs(60);

/// When to look at the heap of what serves; never where there is no limit.
#[derive(Debug, Default)]
pub(crate) struct HeapWatch {
    next_check: Option<Instant>,
}

impl HeapWatch {
    /// When to look next; `None`: never.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// A generation begins to serve, or there is another limit.
    pub(crate) fn start(&mut self, limit: Option<usize>) {
        self.next_check = limit.map(|_| Instant::now() + INTERVAL);
    }

    /// Nothing serves.
    pub(crate) fn stop(&mut self) {
        self.next_check = None;
    }

    /// Whether a heap with so many live bytes is above its limit.
    pub(crate) fn check(&mut self, live: u64, limit: Option<usize>) -> bool {
        let is_above = limit.is_some_and(|limit| live > limit as u64);
        let pause = if is_above { PATIENCE } else { INTERVAL };
        self.next_check = limit.map(|_| Instant::now() + pause);
        is_above
    }

    /// The generation after one whose heap was above the limit begins to serve.
    pub(crate) fn start_after_replacement(&mut self) {
        self.next_check = Some(Instant::now() + PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_is_above_its_limit_or_it_has_none() {
        let mut watch = HeapWatch::default();
        watch.start(None);
        assert_eq!(watch.next_check(), None);
        watch.start(Some(10));
        assert!(watch.next_check().is_some());
        assert!(!watch.check(10, Some(10)));
        assert!(watch.check(11, Some(10)));
        assert!(watch.next_check().unwrap() > Instant::now() + PATIENCE / 2, "the next one gets time");
        assert!(!watch.check(u64::MAX, None));
        assert_eq!(watch.next_check(), None);
    }
}
