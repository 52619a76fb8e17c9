//! Why TLS cannot be used.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

use super::acme::AcmeError;

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or cannot be read.
    #[error("cannot read the {what} {}: {reason}", path.display())]
    Unreadable {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A file has none of what it should hold.
    #[error("{} contains no usable {what} in PEM format{hint}", path.display())]
    Empty {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What may be the reason.
        hint: &'static str,
    },
    /// A file is not in PEM format.
    #[error("the {what} {} is not in PEM format: {reason}", path.display())]
    Malformed {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: pem::Error,
    },
    /// The key is another certificate's.
    #[error("the key {} does not match the certificate {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind that is not supported, or damaged.
    #[error("cannot use the certificate {} with the key {}: {reason}", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        reason: rustls::Error,
    },
    /// The certificates of the authorities that issue those of clients cannot be used.
    #[error("cannot use the client CA {}: {reason}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gives no random numbers.
    #[error("cannot set up TLS: {0}")]
    Unsupported(rustls::Error),
    /// There are neither certificates nor names to get them for.
    #[error("there is no certificate: add one with its key, or a domain for ACME")]
    Nothing,
    /// Certificates by ACME cannot be had with these settings.
    #[error(transparent)]
    Acme(#[from] AcmeError),
}
