//! How fast a client has to send the body of its request.
//!
//! A limit on the total time would cut a large upload over a slow line, and one on the time between two pieces lets a
//! client hold its place by a byte now and then. So there is a minimum rate, as in Apache (`RequestReadTimeout`) and in
//! Kestrel (`MinRequestBodyDataRate`): a client may be behind it by a time, which what it sends faster earns back. Time in
//! which the app takes nothing does not count.

use std::time::Duration;

use tokio::time::Instant;

/// The minimum rate in bytes per second, while the app waits for the body and has not answered.
pub const MIN_RATE: u32 = 500;

/// How long a client may be behind the minimum rate by default. Then it gets 408.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a client is behind the minimum rate.
#[derive(Debug)]
pub(super) struct Pace {
    /// How far it may be.
    limit: Duration,
    behind: Duration,
    /// Since when nothing has come that the app waits for.
    waiting: Option<Instant>,
}

impl Pace {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, behind: Duration::ZERO, waiting: None }
    }

    /// How far the client may be behind.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Notes that the app waits for more.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// Notes that the app does not wait for the client now.
    pub(super) fn pause(&mut self, now: Instant) {
        if let Some(since) = self.waiting.take() {
            self.behind += now.saturating_duration_since(since);
        }
    }

    /// Notes that so many bytes have come.
    pub(super) fn came(&mut self, bytes: usize, now: Instant) {
        self.pause(now);
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(MIN_RATE));
        self.behind = self.behind.saturating_sub(earned);
    }

    /// Whether the client is too far behind.
    pub(super) fn is_too_slow(&self, now: Instant) -> bool {
        let waited = self.waiting.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.behind + waited >= self.limit
    }

    /// When to look again whether the client is too slow: it is not before that.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        /// While the client is not waited for, it does not matter when exactly.
        const PAUSE: Duration = Duration::from_secs(1);
        let left = self.limit.saturating_sub(self.behind);
        match self.waiting {
            Some(since) => since + left,
            None => now + left.max(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends so many bytes at the end of each second, for as long as the pace allows it and at most for so many seconds.
    fn seconds_at(bytes: usize, most: u32) -> u32 {
        let (mut pace, mut now) = (Pace::new(BODY_TIMEOUT), Instant::now());
        for second in 0..most {
            pace.wait(now);
            now += SECOND;
            if pace.is_too_slow(now) {
                return second;
            }
            pace.came(bytes, now);
        }
        most
    }

    #[test]
    fn the_minimum_rate_is_enough_and_less_is_not() {
        assert_eq!(seconds_at(MIN_RATE as usize, 100_000), 100_000);
        assert_eq!(seconds_at(0, 100), 29);
        assert_eq!(seconds_at(1, 100), 30, "a byte each second");
        // Half a second is lost with each.
        assert_eq!(seconds_at(MIN_RATE as usize / 2, 100), 58);
    }

    #[test]
    fn what_comes_fast_makes_up_for_a_pause_and_no_more() {
        let (mut pace, mut now) = (Pace::new(BODY_TIMEOUT), Instant::now());
        pace.came(1 << 40, now);
        pace.wait(now);
        now += BODY_TIMEOUT - Duration::from_millis(1);
        assert!(!pace.is_too_slow(now));
        pace.came(MIN_RATE as usize, now);
        pace.wait(now);
        now += SECOND;
        assert!(!pace.is_too_slow(now));
        assert!(pace.is_too_slow(now + Duration::from_millis(1)));
    }

    #[test]
    fn an_app_that_takes_nothing_is_not_the_clients_delay() {
        let (mut pace, mut now) = (Pace::new(BODY_TIMEOUT), Instant::now());
        pace.wait(now);
        now += 20 * SECOND;
        pace.pause(now);
        now += 1000 * SECOND;
        assert!(!pace.is_too_slow(now));
        assert_eq!(pace.next_look(now), now + 10 * SECOND);
        pace.wait(now);
        now += 9 * SECOND;
        assert!(!pace.is_too_slow(now));
        assert_eq!(pace.next_look(now), now + SECOND);
        assert!(pace.is_too_slow(now + SECOND));
    }
}
