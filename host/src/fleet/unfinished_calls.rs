//! What a host that shuts down has to finish for other hosts.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::call_limits::FINISH_LIMIT;

/// How many requests of other hosts are not finished, and how many connections through which they come.
#[derive(Debug)]
pub(crate) struct UnfinishedCalls {
    count: watch::Sender<usize>,
    /// The host needs no connection any more.
    ended: CancellationToken,
}

/// One of them, as long as it lives.
#[cfg(feature = "fleet")]
#[derive(Debug)]
pub(crate) struct UnfinishedCall(Arc<UnfinishedCalls>);

impl Default for UnfinishedCalls {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), ended: CancellationToken::new() }
    }
}

impl UnfinishedCalls {
    /// Waits until there are none, at most for [`FINISH_LIMIT`]; how many are left.
    pub(crate) async fn finish(self: &Arc<Self>) -> usize {
        let mut count = self.count.subscribe();
        // The sender lives as long as this.
        let _ = timeout(FINISH_LIMIT, count.wait_for(|count| *count == 0)).await;
        *self.count.borrow()
    }

    /// Ends the connection to other hosts.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Waits until the host needs no connection any more.
    #[cfg(feature = "fleet")]
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// One more.
    #[cfg(feature = "fleet")]
    pub(crate) fn begin(self: &Arc<Self>) -> UnfinishedCall {
        self.count.send_modify(|count| *count += 1);
        UnfinishedCall(self.clone())
    }
}

#[cfg(feature = "fleet")]
impl Drop for UnfinishedCall {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(all(test, feature = "fleet"))]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_waits_for_what_is_not_finished_and_not_for_ever() {
        let calls = Arc::new(UnfinishedCalls::default());
        assert_eq!(calls.finish().await, 0);
        let (first, second) = (calls.begin(), calls.begin());
        drop(first);
        assert_eq!(calls.finish().await, 1);
        let finish = calls.finish();
        drop(second);
        assert_eq!(finish.await, 0);
    }
}
