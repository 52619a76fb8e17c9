//! Why a generation failed to start.

use std::io;

use atoll_port::StartError;

use super::data_folder::DataFolderError;
use crate::app::environment::EnvironmentError;
use crate::app::lifecycle::Cause;
use crate::generation::app_process::ProcessError;
use crate::library::check::CheckError;
use crate::library::loaded::LoadError;
use crate::library::preflight::OpenFailure;
use crate::library::resource_fault;
use crate::library::stage::StageError;

/// Why a generation failed to start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartupError {
    #[error("{0}")]
    Build(String),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("cannot read the files of the environment: {0}")]
    EnvironmentThread(io::Error),
    #[error(transparent)]
    Data(#[from] DataFolderError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the lease of the app has run out")]
    NoLease,
    #[error("the library and the environment are unchanged")]
    Unchanged,
    #[error("the earlier library is no longer kept (see the setting `keep`)")]
    NotKept,
    #[error(
        "{0}; if the generation that serves holds what it needs, set \"reload\": \"stop-first\" for the app"
    )]
    Exclusive(Box<StartupError>),
    #[error(
        "{0}; with more than one worker, the app's function is called for each of them: do what can be done only once in a \
        process in a `std::sync::Once`"
    )]
    Once(Box<StartupError>),
    #[error("{new}; the previous library failed to start again: {previous}")]
    NotRestored { new: Box<StartupError>, previous: Box<StartupError> },
    #[error("the host failed to start it: {0}; this is a bug in the host, please report it")]
    Panicked(String),
}

impl StartupError {
    /// Whether the app could not set a logger because there was one already: `SetLoggerError` of the crate `log`, or what a
    /// panic says of it.
    pub(super) fn is_about_logger(&self) -> bool {
        let Self::Start(StartError::Refused { reason, .. }) = self else { return false };
        let text = reason.to_string();
        text.contains("SetLoggerError") || text.contains("logging system was already initialized")
    }

    /// Whether it seems that the app has done twice what can be done only once in a process.
    pub(super) fn is_about_once(&self) -> bool {
        let Self::Start(StartError::Refused { reason, .. }) = self else { return false };
        let text = reason.to_string();
        ["already", "SetLoggerError", "AlreadyReg", "more than once"].iter().any(|word| text.contains(word))
    }

    /// Whether it seems that the app did not get what only one can have: a lock, an address, the name of a file.
    pub(super) fn is_about_exclusive(&self) -> bool {
        /// `EADDRINUSE`, `EAGAIN` of a lock without waiting, `EEXIST`.
        const OS_ERRORS: [i32; 3] = [98, 11, 17];
        let Self::Start(StartError::Refused { reason, .. }) = self else { return false };
        let text = reason.to_string();
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        // As an error is displayed, and as `unwrap` panics with it.
        let names = |error: &i32| {
            text.contains(&format!("(os error {error})")) || text.contains(&format!("code: {error},"))
        };
        words.any(|word| word.to_ascii_lowercase().starts_with("lock"))
            || OS_ERRORS.iter().any(names)
            || text.contains("already open")
    }

    pub(crate) fn cause(&self) -> Cause {
        match self {
            // Nothing but another file changes that.
            Self::Check(CheckError::Stage(
                StageError::Shared { .. } | StageError::TooLarge { .. } | StageError::NotAFile { .. },
            )) => Cause::Unusable,
            Self::Unchanged => Cause::Unchanged,
            Self::Exclusive(error) | Self::Once(error) | Self::NotRestored { new: error, .. } => {
                error.cause()
            }
            // What a compiler says may contain anything.
            Self::Build(_) => Cause::Build,
            _ if self.is_of_the_machine() => Cause::Machine,
            Self::Process(ProcessError::Refused(_)) => Cause::Unusable,
            Self::Check(CheckError::Open(error)) if error.may_pass() => Cause::Failed,
            // Its files are watched, and the environment of the host does not change.
            Self::Environment(_) => Cause::Unusable,
            Self::Check(CheckError::Stage(_) | CheckError::Thread(_))
            | Self::EnvironmentThread(_)
            | Self::Data(_)
            | Self::Process(_)
            | Self::Start(_)
            | Self::NoLease
            | Self::NotKept
            | Self::Panicked(_) => Cause::Failed,
            Self::Check(_) => Cause::Unusable,
        }
    }

    fn is_of_the_machine(&self) -> bool {
        match self {
            Self::Check(CheckError::Thread(error) | CheckError::Load(LoadError::Thread(error)))
            | Self::Process(ProcessError::Start(error) | ProcessError::Thread { reason: error, .. })
            | Self::Start(StartError::Thread { reason: error, .. }) => resource_fault::has_no_thread(error),
            Self::EnvironmentThread(error) => resource_fault::has_no_thread(error),
            // The rest of its text is from the configuration, and may contain anything.
            Self::Environment(error) => {
                error.reason().is_some_and(|error| resource_fault::is_at_fault(error))
            }
            Self::Check(CheckError::Load(LoadError::Open(error))) => resource_fault::is_at_fault(error),
            Self::Check(CheckError::Open(OpenFailure::Process(error))) => {
                resource_fault::has_no_thread(error)
            }
            Self::Check(CheckError::Open(error @ OpenFailure::Refused(_))) => {
                resource_fault::is_at_fault(error)
            }
            // A constructor's words may contain anything.
            Self::Check(CheckError::Open(_)) => false,
            // Of tokio, when it has no thread for work that blocks.
            Self::Panicked(panic) if panic.contains("(os error 11)") => true,
            error => resource_fault::is_at_fault(error),
        }
    }
}
