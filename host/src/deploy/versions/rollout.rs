//! How far the rollout of a version has come.

use serde::{Deserialize, Serialize};

/// The last rollout of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollout {
    /// The version's id.
    pub(crate) version: String,
    /// When it began, in milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// The number of the step, counted from 0.
    pub(crate) step: usize,
    /// How it ended, if it has.
    pub(crate) end: Option<RolloutEnd>,
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RolloutEnd {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Why it was aborted; `None`: the version is the current one.
    pub(crate) aborted: Option<String>,
}

impl Rollout {
    /// Whether it is under way.
    pub(crate) fn is_running(&self) -> bool {
        self.end.is_none()
    }
}
