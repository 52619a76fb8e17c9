//! Why the requests to an app are not split.

use crate::dispatch::problem::{Problem, ProblemKind};

/// Why the requests to an app are not split.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The version keeps its state, so that there can be one of the app only.
    Saves(String),
    /// It cannot be done, or not now.
    Other(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Saves(detail) => Self::new(ProblemKind::Conflict, detail),
            Refusal::Other(problem) => problem,
        }
    }
}
