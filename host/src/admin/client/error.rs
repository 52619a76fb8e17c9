//! Why a host's admin API cannot be used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::admin::model::ProblemDetails;
use crate::observe::error_chain::with_sources;

/// How long an answer is awaited: a reload may drain and start.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a host's admin API cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No host listens.
    // The reason is in the text and is therefore not a `source`, or printing the chain would say it twice.
    #[error(
        "no host is running for {}: start one with `atoll serve`, or pass its apps.json with --config ({reason}){}",
        config.display(),
        those(others)
    )]
    NoHost {
        /// The registry file that the host would serve.
        config: PathBuf,
        /// Those that running hosts of this user serve.
        others: Vec<PathBuf>,
        /// What the system said.
        reason: io::Error,
    },
    /// The server cannot be reached.
    // The reason is in the text, as above.
    #[error("cannot reach {server}: {reason}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        reason: io::Error,
    },
    /// A server in between has answered, with this status.
    #[error(
        "the server responded with {0}, but not as an Atoll host does; check the URL, and the proxy in front of the host"
    )]
    NotTheHost(u16),
    /// The connection broke.
    #[error("the host did not respond: {}; try again; if this persists, see its log", with_sources(.0))]
    Broken(hyper::Error),
    /// The connection broke while events were being received.
    #[error("the host has exited or was restarted")]
    Lost(#[source] hyper::Error),
    /// A file to upload cannot be read.
    // The reason is in the text, as above.
    #[error("cannot read a file to upload: {0}")]
    File(io::Error),
    /// No answer came in time.
    #[error("the host did not respond within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
    /// The host said no.
    #[error("{}", .0.detail)]
    Refused(Box<ProblemDetails>),
    /// What came is not an answer.
    #[error(
        "cannot parse the host's response: {0}; if its version differs from this command's, {own}, restart it",
        own = env!("CARGO_PKG_VERSION")
    )]
    Malformed(serde_json::Error),
}

/// What the running hosts serve, as the end of a sentence.
fn those(configs: &[PathBuf]) -> String {
    let configs: Vec<String> = configs.iter().map(|config| config.display().to_string()).collect();
    if configs.is_empty() { String::new() } else { format!("; running hosts serve {}", configs.join(", ")) }
}

// Not by an attribute, which would make it a `source`: printing the chain would say it twice.
impl From<hyper::Error> for AdminError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<serde_json::Error> for AdminError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error)
    }
}
