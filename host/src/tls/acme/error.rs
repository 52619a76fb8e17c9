//! What prevents certificates by ACME.

use std::io;
use std::path::PathBuf;

use instant_acme::Problem;
use rustls::pki_types::pem;

use crate::observe::error_chain::with_sources;

/// Why a server cannot have certificates by ACME with its settings.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// There is no agreement to the terms.
    #[error("ACME requires that you agree to the terms of service of the certificate authority")]
    Terms,
    /// There are no domains.
    #[error("ACME has no domains to get certificates for")]
    NoDomains,
    /// The folder for certificates cannot be used.
    #[error("cannot keep certificates in {}: {reason}; choose another folder with --state-dir", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The file with the authorities of the directory cannot be used.
    #[error("cannot use the CA file {} for ACME: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: pem::Error,
    },
    /// An authority of the directory cannot be used.
    #[error("cannot use a certificate in the CA file {} for ACME: {reason}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: rustls::Error,
    },
    /// The system has no certificates of authorities.
    #[error(
        "this system trusts no certificate authorities: install its package of them, such as ca-certificates, or set \
         --acme-ca-file"
    )]
    NoAuthorities,
    /// The system gives no random numbers.
    #[error("cannot set up TLS: {0}")]
    Unsupported(rustls::Error),
}

/// Why an order has failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The certificate authority has refused something.
    #[error("the certificate authority reports: {}", problem(.0))]
    Refused(Problem),
    /// The authority could not validate the domain.
    #[error("the certificate authority could not validate the domain {over}: {reason}")]
    Validation { over: &'static str, reason: String },
    /// The authority has no challenge that the server can meet.
    #[error(
        "the certificate authority offers no challenge over TLS-ALPN, nor one over HTTP that --redirect-http could meet"
    )]
    NoChallenge,
    /// There is no certificate for the challenge over TLS.
    #[error("cannot answer the challenge: {0}")]
    Challenge(String),
    /// The authority did something that RFC 8555 does not have, or cannot be reached.
    #[error("the certificate authority cannot be used: {}", with_sources(.0))]
    Unusable(instant_acme::Error),
    /// The authority has issued something that is of no use.
    #[error("the certificate that was issued cannot be used: {0}")]
    Certificate(String),
    /// What a restart must not lose cannot be kept.
    #[error("cannot keep it: {0}")]
    Store(#[from] io::Error),
}

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => Self::Refused(problem),
            error => Self::Unusable(error),
        }
    }
}

impl OrderError {
    /// Whether the certificate authority does not know the account.
    pub(super) fn is_of_account(&self) -> bool {
        let unknown = "urn:ietf:params:acme:error:accountDoesNotExist";
        matches!(self, Self::Refused(problem) if problem.r#type.as_deref() == Some(unknown))
    }
}

/// What a certificate authority reports, in a clause.
pub(super) fn problem(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().unwrap_or("about:blank");
    let kind = kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind);
    let details = problem.detail.iter().cloned();
    let details: Vec<_> = details.chain(problem.subproblems.iter().map(ToString::to_string)).collect();
    if details.is_empty() { kind.to_owned() } else { format!("{} ({kind})", details.join("; ")) }
}
