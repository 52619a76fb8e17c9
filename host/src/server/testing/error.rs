//! What may go wrong with a host in a test.

use std::time::Duration;

use crate::app::resources::SetupError;
use crate::config::ConfigError;
use crate::devkit::build::BuildError;

/// How long a host may take for an operation. The apps' own limits are shorter, and end what hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// Why there is no host, or not what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestHostError {
    /// The apps or their settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An app's path leads to no library, and to no crate: the app, and what is wrong.
    #[error("{0}: {1}")]
    Source(String, String),
    /// A crate cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Cargo has built the crate, and no library that can be loaded.
    #[error("{0}: the build made no library: its crate needs `crate-type = [\"cdylib\"]` under `[lib]`")]
    NoLibrary(String),
    /// The builds took longer than they may.
    #[error("the build took longer than {0:?}; set another limit with `Builder::build_deadline`")]
    BuildTooLong(Duration),
    /// The host cannot start.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no free port of the loopback address, or no thread.
    #[error("the host cannot listen: {0}")]
    Listen(std::io::Error),
    /// No app has this name.
    #[error("unknown app `{0}`: add it with `Builder::app`")]
    NoApp(String),
    /// There is no new generation; the previous one keeps serving.
    #[error("{app} was not reloaded: {reason}")]
    Reload {
        /// The app.
        app: String,
        /// Why not.
        reason: String,
    },
    /// The host did not finish an operation in time.
    #[error("the host did not {0} within {PATIENCE:?}")]
    TooLate(&'static str),
}

// Not by an attribute, which would make it a `source`: printing the chain would say it twice.
impl From<std::io::Error> for TestHostError {
    fn from(error: std::io::Error) -> Self {
        Self::Listen(error)
    }
}
