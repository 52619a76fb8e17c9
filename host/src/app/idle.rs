//! Whether an app has nothing to do.

use std::time::{Duration, Instant};

/// When to look whether the app is idle: four times in each timeout, by the count of its calls, so that the request
/// path has no clock to read.
#[derive(Debug, Default)]
pub(crate) struct IdleWatch {
    next_check: Option<Instant>,
    calls: usize,
    quiet_since: Option<Instant>,
}

impl IdleWatch {
    /// When to look next; `None`: never.
    pub(crate) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// A generation begins to serve.
    pub(crate) fn start(&mut self, timeout: Option<Duration>) {
        self.quiet_since = Some(Instant::now());
        self.next_check = timeout.map(|timeout| Instant::now() + timeout / 4);
    }

    /// Nothing serves that could be idle.
    pub(crate) fn stop(&mut self) {
        self.next_check = None;
    }

    /// Whether the calls have not grown for as long as `timeout`.
    pub(crate) fn check(&mut self, calls: usize, timeout: Option<Duration>) -> bool {
        let Some(timeout) = timeout else {
            self.stop();
            return false;
        };
        let now = Instant::now();
        self.next_check = Some(now + timeout / 4);
        if self.calls != calls {
            self.calls = calls;
            self.quiet_since = Some(now);
        }
        self.quiet_since.is_some_and(|since| now - since >= timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_idle_when_its_calls_have_not_grown_for_the_timeout() {
        let mut idle = IdleWatch::default();
        idle.start(Some(Duration::ZERO));
        assert!(!idle.check(1, Some(Duration::from_secs(3600))));
        assert!(idle.check(1, Some(Duration::ZERO)));
        assert!(idle.next_check().is_some());
        assert!(!idle.check(1, None), "without a timeout an app is never idle");
        assert_eq!(idle.next_check(), None);
    }
}
