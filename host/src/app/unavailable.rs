//! Why an app has no generation to serve a request.

use std::time::Duration;

/// Why an app has no generation to serve a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Its library cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// It did not start, or crashed, and is started again after a pause.
    #[error("{reason}")]
    Resting {
        /// What went wrong last.
        reason: String,
        /// Until it is tried again.
        retry_after: Duration,
    },
    /// Too many of its generations are pinned: what to do about it.
    #[error("{0}")]
    Blocked(String),
    /// It runs on one host of the fleet at a time, and this is not the one.
    #[error("the app stands by: one host of the fleet runs it (instances = 1), see `atoll ls --fleet`")]
    StandsBy,
    /// Someone has switched it off.
    #[error("the app is disabled: run `atoll enable NAME` to enable it")]
    Disabled,
    /// It ended the host, and stays disabled: what happened, and what to do.
    #[error("{0}")]
    Faulted(String),
    /// Other hosts of the fleet have it, and this host has no connection to them.
    #[error("the app is on other hosts of the fleet, and this host has no connection to NATS")]
    NotConnected,
    /// It is shutting down.
    #[error("the app is shutting down")]
    Closing,
}
