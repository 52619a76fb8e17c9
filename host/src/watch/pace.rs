//! How long the watcher waits, and for what.

use std::fs::File;
use std::time::Duration;

use super::lease::{Writers, writers};

/// How often to find out the folders again, at once, when they keep changing meanwhile.
pub(super) const MOST_LOOKS: usize = 8;

/// The watcher's waiting times, so that tests can choose others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Whether to ask the kernel for notifications at all.
    pub(super) events: bool,
    /// How often every file is looked at without any sign of a change.
    pub(super) poll: Duration,
    /// How long a file must stay as it is where the kernel cannot say whether it is being written.
    pub(super) quiet: Duration,
    /// How long a file must be missing to be reported so: cargo and linkers remove one just before they
    /// put the next in its place. No task waits for this report, so it may take longer.
    pub(super) missing: Duration,
    /// How long a tree must be quiet before its batch goes out.
    pub(super) batch: Duration,
    /// When the batch goes out even if the tree is not quiet.
    pub(super) batch_limit: Duration,
    /// How to find out whether a file is being written.
    pub(super) writers: fn(&File) -> Writers,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            events: true,
            poll: Duration::from_secs(2),
            quiet: Duration::from_millis(30),
            missing: Duration::from_millis(50),
            batch: Duration::from_millis(20),
            batch_limit: Duration::from_millis(200),
            writers,
        }
    }
}

/// How long to wait before asking again whether a file's writer is done, the `attempt`th time.
///
/// The first is short because the kernel says that a file was closed a moment before its writer is gone.
pub(super) fn backoff(attempt: usize) -> Duration {
    const STEPS: [u64; 6] = [1, 2, 5, 10, 20, 50];
    Duration::from_millis(STEPS[attempt.min(STEPS.len() - 1)])
}
