//! How much another host takes of a stream.

use std::cell::Cell;

use atoll_plugin::protocol::{INITIAL_CREDIT, piece_credit};
use tokio::sync::Notify;

/// What may be sent of one stream.
#[derive(Debug)]
pub(super) struct Credit {
    /// Below zero when the last piece was larger.
    left: Cell<i64>,
    granted: Notify,
}

impl Default for Credit {
    fn default() -> Self {
        Self { left: Cell::new(INITIAL_CREDIT as i64), granted: Notify::new() }
    }
}

impl Credit {
    /// Waits until something may be sent.
    pub(super) async fn available(&self) {
        while self.left.get() <= 0 {
            self.granted.notified().await;
        }
    }

    /// Notes that a piece of so many bytes is sent.
    pub(super) fn take(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_sub_unsigned(piece_credit(bytes)));
    }

    /// Notes that the receiver takes more.
    pub(super) fn grant(&self, bytes: u64) {
        self.left.set(self.left.get().saturating_add_unsigned(bytes).min(INITIAL_CREDIT as i64));
        self.granted.notify_one();
    }
}

/// What has been taken of a stream, and not been granted again.
#[derive(Debug, Default)]
pub(super) struct Taken(u64);

impl Taken {
    /// Notes that a piece of so many bytes was taken; how much more is to be granted now.
    pub(super) fn note(&mut self, bytes: usize) -> Option<u64> {
        self.0 += piece_credit(bytes);
        (self.0 >= INITIAL_CREDIT / 2).then(|| std::mem::take(&mut self.0))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_stream_waits_for_its_receiver() {
        let credit = Credit::default();
        credit.take(INITIAL_CREDIT as usize);
        assert!(credit.available().now_or_never().is_none());
        credit.grant(65);
        assert!(credit.available().now_or_never().is_some());
        credit.grant(u64::MAX);
        credit.take(INITIAL_CREDIT as usize - 64);
        assert!(credit.available().now_or_never().is_none(), "it is never more than at the beginning");
    }

    #[test]
    fn what_was_taken_is_granted_in_halves() {
        let mut taken = Taken::default();
        assert_eq!(taken.note(1000), None);
        assert_eq!(taken.note(INITIAL_CREDIT as usize), Some(INITIAL_CREDIT + 1128));
        assert_eq!(taken.note(0), None);
    }
}
