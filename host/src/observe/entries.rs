//! What is kept of an app's log records, panics and failures, and reported of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A log record of an app's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Its number, counted from 1 for each app.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// What wrote it: usually a module's path.
    pub target: String,
    /// The generation that wrote it.
    pub generation: u64,
    /// The text.
    pub message: String,
}

/// A panic in an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PanicEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The generation that panicked.
    pub generation: u64,
    /// What the panic said.
    pub message: String,
    /// Where it was: `src/lib.rs:12:9`.
    pub location: String,
    /// The app's functions on the stack, the innermost first; empty where `RUST_BACKTRACE` is `0`.
    pub backtrace: Vec<FrameEntry>,
}

/// A function on the stack of a panic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameEntry {
    /// Its name.
    pub function: String,
    /// Where in it: `src/lib.rs:12`; absent where the library has no debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A request that the app or the host could not answer, with a status of 500 or above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The request's id.
    pub request_id: String,
    /// Its method and path.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// What was said of it.
    pub detail: String,
}
