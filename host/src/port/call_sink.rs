//! Where a port hands the calls that its app makes to other apps.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::AbortRegistration;

use super::host_end::Port;
use super::worker_message::CallRequest;

/// A call of an app to another one, on its way.
pub(crate) struct OutgoingCall {
    /// The port that it came by, which takes the answer.
    pub(crate) port: Arc<Port>,
    /// The number that the app gave it.
    pub(crate) id: u64,
    pub(crate) request: CallRequest,
    /// Aborts it when the app cancels it.
    pub(crate) cancelled: AbortRegistration,
}

/// Carries out the calls of apps.
pub(crate) trait CallSink: Debug + Send + Sync {
    /// Takes a call, on any thread, without waiting.
    fn accept(&self, call: OutgoingCall);
}
