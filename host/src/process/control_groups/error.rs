//! Why there is no control group.

use std::io;
use std::path::PathBuf;

use super::delegated::Controller;

/// Why this host cannot limit its app processes by control groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ControlGroupError {
    /// The system has none of this version.
    #[error("this system has no control groups of version 2")]
    NoHierarchy,
    /// They belong to somebody else.
    #[error(
        "the control group {} is not delegated to this host; set `Delegate=cpu memory pids` in its systemd unit, or run it \
         in a container that may write its control group", .0.display()
    )]
    NotDelegated(PathBuf),
    /// The host's control group lacks a controller.
    #[error("the control group {} has no controller for {controller}", path.display())]
    NoController {
        /// The host's control group.
        path: PathBuf,
        /// The controller.
        controller: Controller,
    },
    /// A file or folder of theirs could not be written.
    #[error("cannot {action} {}: {reason}", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
}

impl ControlGroupError {
    /// For `map_err` of what is done with `path`.
    pub(super) fn system(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |reason| Self::System { action, path, reason: reason.to_string() }
    }
}
