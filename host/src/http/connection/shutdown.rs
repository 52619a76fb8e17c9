//! The server's graceful shutdown, as connections see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Whether the server is shutting down: connections finish the requests that they have, and take no more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Read for each request, where the token would take a lock.
    begun: AtomicBool,
    token: CancellationToken,
}

impl Shutdown {
    /// Begins it.
    pub(crate) fn begin(&self) {
        self.0.begun.store(true, Ordering::Relaxed);
        self.0.token.cancel();
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Waits until it begins.
    pub(super) fn begun(&self) -> WaitForCancellationFutureOwned {
        self.0.token.clone().cancelled_owned()
    }
}
