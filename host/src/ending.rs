//! When streams and WebSockets are to end that their app has not ended.

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Tells the streams of a generation to end: first those without an end of their own, then all.
#[derive(Debug)]
pub(crate) struct Ending {
    all: CancellationToken,
    endless: CancellationToken,
}

impl Default for Ending {
    fn default() -> Self {
        let all = CancellationToken::new();
        Self { endless: all.child_token(), all }
    }
}

impl Ending {
    /// Ends server-sent events and WebSockets.
    pub(crate) fn end_endless(&self) {
        self.endless.cancel();
    }

    /// Ends everything.
    pub(crate) fn end_all(&self) {
        self.all.cancel();
    }

    /// Waits until everything is to end.
    pub(crate) fn of_all(&self) -> WaitForCancellationFutureOwned {
        self.all.clone().cancelled_owned()
    }

    /// Waits until server-sent events and WebSockets are to end.
    pub(crate) fn of_endless(&self) -> WaitForCancellationFutureOwned {
        self.endless.clone().cancelled_owned()
    }
}
