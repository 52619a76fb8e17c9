//! When an app is started, and how crashes are answered.

use std::time::Duration;

/// When an app is started, and how crashes are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether it starts without a call, and again after a change.
    pub preload: bool,
    /// With more crashes than this within [`window`](Self::window) the app is failed.
    pub max_restarts: usize,
    /// How long a crash counts.
    pub window: Duration,
    /// The pause after the second crash in a row; it doubles with each one more. After the first there is none.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// With more pinned generations than this, no further one is started.
    pub max_pinned: usize,
    /// With this many draining generations, the next one starts when one of them has ended.
    pub max_draining: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            preload: false,
            max_restarts: 5,
            window: Duration::from_secs(60),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            max_pinned: 4,
            max_draining: 8,
        }
    }
}

impl Policy {
    /// The pause after so many crashes within the window; `None`: no more restarts.
    pub(super) fn pause(&self, crashes: usize) -> Option<Duration> {
        match crashes {
            n if n > self.max_restarts => None,
            0 | 1 => Some(Duration::ZERO),
            n => Some(self.doubled(n - 2)),
        }
    }

    /// The first pause, doubled so many times, at most the longest.
    pub(super) fn doubled(&self, doublings: usize) -> Duration {
        let factor = u32::try_from(doublings).ok().and_then(|doublings| 2u32.checked_pow(doublings));
        factor.map_or(self.longest_pause, |factor| {
            self.first_pause.saturating_mul(factor).min(self.longest_pause)
        })
    }
}
