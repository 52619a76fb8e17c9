//! What a port reports of an app that does not keep to the protocol.

use std::fmt::{Debug, Display};
use std::sync::Arc;

/// What an app may do again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarningKind {
    /// It sends malformed messages.
    Malformed,
    /// It sends responses without an id.
    Numberless,
    /// It sends unknown messages.
    Unknown,
    /// It answers requests that were never asked, or twice.
    Answer,
    /// It sends more of a stream than its receiver has granted, or grants more often than it receives.
    Credit,
    /// It sends messages that are larger than its limit.
    MessageSize,
    /// It has more calls in flight than its limit.
    Calls,
}

/// Takes the warnings of one app, which may come as often as the app sends messages.
pub trait Warnings: Debug + Send + Sync {
    /// Takes a warning, on any thread.
    fn warn(self: Arc<Self>, kind: WarningKind, what: &dyn Display);
}
