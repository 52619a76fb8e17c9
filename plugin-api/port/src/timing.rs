//! How long a request waited and was worked on.

use std::time::{Duration, Instant};

/// What a worker took for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTiming {
    /// From when it was put into a worker's inbox to when the worker took it out.
    pub queue: Duration,
    /// From then to its answer.
    pub handler: Duration,
}

/// Who had a request, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The generation's number.
    pub generation: u64,
    /// What its worker took, until now where it has not answered.
    pub times: RequestTiming,
}

/// A request's times as they come to be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    sent: Instant,
    taken: Option<Instant>,
}

impl Stopwatch {
    /// It was put into an inbox now.
    pub(crate) fn start() -> Self {
        Self { sent: Instant::now(), taken: None }
    }

    /// A worker takes it at this time.
    pub(crate) fn take(&mut self, now: Instant) {
        self.taken = Some(now);
    }

    /// When it was put into an inbox.
    pub(crate) fn sent(&self) -> Instant {
        self.sent
    }

    /// Whether a worker has taken it.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// It was answered now, or is no longer pending.
    pub(crate) fn stop(self) -> RequestTiming {
        match self.taken {
            Some(taken) => RequestTiming { queue: taken - self.sent, handler: taken.elapsed() },
            None => RequestTiming { queue: self.sent.elapsed(), handler: Duration::ZERO },
        }
    }
}
