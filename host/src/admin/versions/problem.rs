//! What is said of a version that is not kept, not found or not served.

use crate::deploy::{DeployError, VersionError};
use crate::dispatch::problem::{Problem, ProblemKind};

impl From<VersionError> for Problem {
    fn from(error: VersionError) -> Self {
        let kind = match &error {
            VersionError::AppName(_)
            | VersionError::Hash(_)
            | VersionError::LibraryName(_)
            | VersionError::TooManyLibraries { .. }
            | VersionError::Note(_)
            | VersionError::Damaged { .. }
            | VersionError::NotSealed
            | VersionError::Ambiguous { .. } => ProblemKind::BadRequest,
            VersionError::TooLarge { .. } => ProblemKind::BodyTooLarge,
            VersionError::Unknown { .. } => ProblemKind::NotFound,
            VersionError::NoFolder
            | VersionError::Offset { .. }
            | VersionError::Busy
            | VersionError::Missing(_)
            | VersionError::Refused(_)
            | VersionError::NoOther(_)
            | VersionError::NoPrevious(_) => ProblemKind::Conflict,
            VersionError::Deploy(error) => kind_of(error),
            VersionError::File { .. } | VersionError::Index { .. } => ProblemKind::AppError(500),
        };
        Self::new(kind, error.to_string())
    }
}

fn kind_of(error: &DeployError) -> ProblemKind {
    match error {
        DeployError::Registry(_) | DeployError::OwnField { .. } => ProblemKind::BadRequest,
        DeployError::Read { .. } | DeployError::Write { .. } => ProblemKind::AppError(500),
        _ => ProblemKind::Conflict,
    }
}
