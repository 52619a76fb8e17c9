//! Whether a worker no longer takes what is sent to it.

use std::time::{Duration, Instant};

/// When to look what the workers have read: four times in each timeout.
#[derive(Debug, Default)]
pub(crate) struct HangWatch {
    next_check: Option<Instant>,
    /// Of each worker: how much it had read, and since when, while something waited for it.
    workers: Vec<Option<(u64, Instant)>>,
}

impl HangWatch {
    /// When to look next; `None`: never.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// A generation begins to serve, or there is another timeout.
    pub(crate) fn start(&mut self, timeout: Option<Duration>) {
        self.workers.clear();
        self.next_check = timeout.map(|timeout| Instant::now() + timeout / 4);
    }

    /// Nothing serves that could hang.
    pub(crate) fn stop(&mut self) {
        self.start(None);
    }

    /// The first worker for which something has waited as long as `timeout` without its taking anything. `unread` has, for each
    /// worker, how much it has read if something waits for it.
    pub(crate) fn check(
        &mut self,
        unread: impl Iterator<Item = Option<u64>>,
        timeout: Option<Duration>,
    ) -> Option<usize> {
        let Some(timeout) = timeout else {
            self.stop();
            return None;
        };
        let now = Instant::now();
        self.next_check = Some(now + timeout / 4);
        let before = std::mem::take(&mut self.workers).into_iter().chain(std::iter::repeat(None));
        self.workers = unread
            .zip(before)
            .map(|(read, before)| {
                read.map(|read| before.filter(|before| before.0 == read).unwrap_or((read, now)))
            })
            .collect();
        self.workers.iter().position(|waits| waits.is_some_and(|(_, since)| now - since >= timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_hangs_that_takes_nothing_while_something_waits() {
        let (short, long) = (Some(Duration::ZERO), Some(Duration::from_secs(3600)));
        let mut watch = HangWatch::default();
        watch.start(long);
        assert!(watch.next_check().is_some());
        let check = |watch: &mut HangWatch, unread: [Option<u64>; 2], timeout| {
            watch.check(unread.into_iter(), timeout)
        };
        assert_eq!(check(&mut watch, [None, None], short), None, "nothing waits");
        assert_eq!(check(&mut watch, [None, Some(7)], long), None, "it has just begun to wait");
        let since = watch.workers[1].unwrap().1;
        assert_eq!(check(&mut watch, [None, Some(7)], long), None);
        assert_eq!(watch.workers[1].unwrap().1, since, "it still waits");
        assert_eq!(check(&mut watch, [None, Some(7)], short), Some(1));
        assert_eq!(check(&mut watch, [None, Some(8)], long), None);
        assert!(watch.workers[1].unwrap().1 > since, "it has taken something");
        assert_eq!(check(&mut watch, [Some(1), Some(8)], None), None, "without a timeout nothing hangs");
        assert_eq!(watch.next_check(), None);
    }
}
