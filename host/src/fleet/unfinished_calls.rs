//! What a host that shuts down has to finish for other hosts.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;

use super::call_limits::FINISH_LIMIT;

/// How many requests of other hosts are not finished, and how many connections through which they come.
#[derive(Debug)]
pub(crate) struct UnfinishedCalls(watch::Sender<usize>);

/// One of them, as long as it lives.
#[cfg(feature = "fleet")]
#[derive(Debug)]
pub(crate) struct UnfinishedCall(Arc<UnfinishedCalls>);

impl Default for UnfinishedCalls {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl UnfinishedCalls {
    /// Waits until there are none, at most for [`FINISH_LIMIT`]; how many are left.
    pub(crate) async fn finish(self: &Arc<Self>) -> usize {
        let mut count = self.0.subscribe();
        // The sender lives as long as this.
        let _ = timeout(FINISH_LIMIT, count.wait_for(|count| *count == 0)).await;
        *self.0.borrow()
    }

    /// One more.
    #[cfg(feature = "fleet")]
    pub(crate) fn begin(self: &Arc<Self>) -> UnfinishedCall {
        self.0.send_modify(|count| *count += 1);
        UnfinishedCall(self.clone())
    }
}

#[cfg(feature = "fleet")]
impl Drop for UnfinishedCall {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
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
