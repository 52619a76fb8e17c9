//! Why an app has no environment.

use std::io;
use std::path::PathBuf;

use crate::config::Place;

/// Why the environment of an app cannot be read. No text of it contains a value.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A file with variables cannot be read.
    // Here and below, the reason is in the text and is therefore no source, or a chain would show it twice.
    #[error("cannot read the env_file {}: {reason}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        reason: io::Error,
    },
    /// A line of such a file is malformed.
    #[error("{}:{line}: expected {expected}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected in it.
        expected: &'static str,
    },
    /// A secret cannot be read.
    #[error("{place}cannot read the secret {}: {reason}", path.display())]
    Secret {
        /// Where it is in the configuration.
        place: Place,
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        reason: io::Error,
    },
    /// The host has no credentials.
    #[error(
        "{place}the host has no credential {name}: CREDENTIALS_DIRECTORY is not set; add `LoadCredential={name}:PATH` to \
        its systemd service"
    )]
    NoCredentials {
        /// Where it is in the configuration.
        place: Place,
        /// The name of the credential.
        name: String,
    },
    /// A variable of the host is not set.
    #[error("{place}the variable {name} is not set in the environment of the host")]
    Unset {
        /// Where it is in the configuration.
        place: Place,
        /// The name of the variable.
        name: String,
    },
    /// A variable of the host is not set or empty.
    #[error("{place}the variable {name} is not set or empty in the environment of the host{message}")]
    Empty {
        /// Where it is in the configuration.
        place: Place,
        /// The name of the variable.
        name: String,
        /// A colon and the message of the configuration.
        message: String,
    },
    /// A variable of the host is not UTF-8.
    #[error("{place}the variable {name} in the environment of the host is not UTF-8")]
    NotUnicode {
        /// Where it is in the configuration.
        place: Place,
        /// The name of the variable.
        name: String,
    },
    /// A value has a malformed variable.
    #[error("{place}expected variables as ${{NAME}}, ${{NAME:-default}} or ${{NAME:?message}}")]
    Template {
        /// Where it is in the configuration.
        place: Place,
    },
}

impl EnvironmentError {
    /// What the operating system reported, if it did.
    pub(crate) fn reason(&self) -> Option<&io::Error> {
        match self {
            Self::EnvFile { reason, .. } | Self::Secret { reason, .. } => Some(reason),
            _ => None,
        }
    }
}
