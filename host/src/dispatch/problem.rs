//! What went wrong, as clients see it.

pub use atoll_port::problem::{Problem, ProblemKind};
