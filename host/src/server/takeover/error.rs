//! Why a takeover fails.

use std::io;
use std::path::PathBuf;

/// Why a host does not take over from the one that runs. That one continues as before.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// A host runs that offers no takeover.
    #[error(
        "the host of {} cannot be replaced: it is shutting down, or it is `atoll dev`, a program with its own server or an older \
         version; stop it first",
        config.display()
    )]
    NotOffered {
        /// The registry file.
        config: PathBuf,
    },
    /// The running host has refused.
    #[error("the running host (process {process}) refuses the takeover: {reason}")]
    Refused {
        /// Its process's number.
        process: i32,
        /// Its reason.
        reason: String,
    },
    /// The running host does not answer as expected.
    #[error("the running host cannot be replaced: {0}; see its log, or stop it and start this one")]
    Broken(io::Error),
    /// The process that listens is another user's.
    #[error("the process at {} belongs to user {user}: remove this file", path.display())]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The user.
        user: u32,
    },
    /// Apps would have to run in both hosts at once and cannot.
    #[error(
        "`\"reload\": \"stop-first\"` of {0} does not allow that the app runs in two hosts at once: stop the running host and \
         start this one"
    )]
    StopFirst(String),
    /// An app did not start.
    #[error("the running host is not replaced, because the app {app} did not start: {reason}")]
    App {
        /// Its name.
        app: String,
        /// Why.
        reason: String,
    },
}
