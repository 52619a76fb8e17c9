//! What went wrong last.

/// What went wrong with an app last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Its library cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// It did not start, or crashed.
    #[error("{0}")]
    Failed(String),
    /// It ended the host, and stays disabled: see [`Event::Faulted`](super::Event::Faulted).
    #[error("the app is disabled, because {0}; deploy a fixed library, or run `atoll enable NAME`")]
    Faulted(String),
    /// Too many of its generations are pinned.
    #[error(
        "no new generation is started because {pinned} are pinned (max_pinned = {limit}): run `atoll ls` to see why. \
        The app resumes when one of them is unloaded; otherwise raise max_pinned, set \"isolation\": \"process\", or restart \
        the host"
    )]
    Blocked {
        /// How many are pinned.
        pinned: usize,
        /// How many may be.
        limit: usize,
    },
}
