//! Why a process could not be locked down.

use std::io;
use std::path::PathBuf;

use super::in_force::{Layer, Missing};

/// Why a process could not be locked down. The process may be restricted in part then, and has to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// This machine cannot enforce a part of the policy.
    #[error(
        "the sandbox cannot enforce `{}`: {}; `\"require\": \"available\"` does without it",
        .0.layer, .0.reason
    )]
    Unavailable(Missing),
    /// A path of `files` cannot be opened.
    #[error("cannot open {} of the sandbox's `files`: {reason}; create it, or remove it from `files`", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// There is no such user.
    #[error("the sandbox's `user` {name:?} is unknown; create it, or write the number of a user")]
    UnknownUser {
        /// The name.
        name: String,
    },
    /// The user is root.
    #[error("the sandbox's `user` {name:?} is root, which would not be confined; write another user")]
    RootUser {
        /// The name or the number.
        name: String,
    },
    /// The working directory cannot be used.
    #[error("cannot change to the working directory {}: {reason}", path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The process has other threads, which would not be restricted.
    #[error(
        "a process with {0} threads cannot be sandboxed: the policy has to be enforced before others are started"
    )]
    Threads(u64),
    /// A system call failed that this machine should support.
    #[error("the sandbox cannot enforce `{layer}`: {action} failed: {reason}")]
    System {
        /// What it belongs to.
        layer: Layer,
        /// The call.
        action: &'static str,
        /// The system's error.
        reason: io::Error,
    },
}

impl SandboxError {
    /// For `map_err` of a system call.
    pub(super) fn system<E: Into<io::Error>>(layer: Layer, action: &'static str) -> impl FnOnce(E) -> Self {
        move |reason| Self::System { layer, action, reason: reason.into() }
    }
}
