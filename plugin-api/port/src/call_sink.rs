//! Where a port hands the calls that its app makes to other apps.

use std::fmt::Debug;
use std::sync::Arc;

use futures_util::future::AbortRegistration;

use crate::port::Port;
use crate::worker_message::CallRequest;

/// A call of an app to another one, on its way.
pub struct OutgoingCall {
    /// The port that it came by, which takes the answer.
    pub port: Arc<Port>,
    /// The number that the app gave it.
    pub id: u64,
    /// What it asks for.
    pub request: CallRequest,
    /// Aborts it when the app cancels it.
    pub cancelled: AbortRegistration,
}

/// Carries out the calls of apps.
pub trait CallSink: Debug + Send + Sync {
    /// Takes a call, on any thread, without waiting.
    fn accept(&self, call: OutgoingCall);
}
