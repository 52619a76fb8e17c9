//! When streams and WebSockets are to end that their app has not ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Signals the streams of a generation to end: first the endless ones, then all.
#[derive(Debug, Default)]
pub struct ShutdownSignal {
    all: CancellationToken,
    endless: Mutex<CancellationToken>,
}

impl ShutdownSignal {
    /// Ends server-sent events and WebSockets: they have no end to wait for, and their clients come back.
    pub fn cancel_endless(&self) {
        self.endless().cancel();
    }

    /// Ends everything.
    pub fn cancel_all(&self) {
        self.cancel_endless();
        self.all.cancel();
    }

    /// Those that begin from now on are not to end yet.
    pub fn reset_endless(&self) {
        *self.endless() = CancellationToken::new();
    }

    /// Waits until everything is to end.
    pub fn cancelled(&self) -> WaitForCancellationFutureOwned {
        self.all.clone().cancelled_owned()
    }

    /// Waits until server-sent events and WebSockets are to end.
    pub fn endless_cancelled(&self) -> WaitForCancellationFutureOwned {
        self.endless().clone().cancelled_owned()
    }

    fn endless(&self) -> MutexGuard<'_, CancellationToken> {
        self.endless.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
