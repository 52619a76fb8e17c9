//! What certificates by ACME are to be had.

use std::path::PathBuf;
use std::time::Duration;

use super::directory::AcmeDirectory;
use super::domain::AcmeDomain;

/// How long to wait after the first order that fails; [`AcmeSettings::with_retry_delay`].
const RETRY_DELAY: Duration = Duration::from_secs(60);

/// Certificates that a certificate authority issues by ACME; for [`TlsSettings::with_acme`](crate::TlsSettings::with_acme).
///
/// Each domain has its own certificate, which is renewed when two thirds of its time are over. The authority validates a domain
/// by connecting to it: on port 443, where the server must be reachable, or on port 80, where it must be reachable with
/// [`HostServer::with_redirect`](crate::HostServer::with_redirect).
#[derive(Clone, Debug)]
#[must_use]
pub struct AcmeSettings {
    pub(super) domains: Vec<AcmeDomain>,
    pub(super) folder: PathBuf,
    pub(super) agreed: bool,
    pub(super) directory: AcmeDirectory,
    pub(super) contacts: Vec<String>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) account: Option<ExternalAccount>,
    pub(super) retry_delay: Duration,
}

/// An account that exists elsewhere at the certificate authority.
#[derive(Clone)]
pub(super) struct ExternalAccount {
    pub(super) id: String,
    pub(super) key: Vec<u8>,
}

/// Without the key.
impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

impl AcmeSettings {
    /// Certificates of Let's Encrypt for these domains. The account's key and the certificates with their keys are kept in the
    /// folder `acme` in `folder`, which are made if need be, and only this user can open.
    pub fn new(domains: impl IntoIterator<Item = AcmeDomain>, folder: impl Into<PathBuf>) -> Self {
        let mut settings = Self {
            domains: Vec::new(),
            folder: folder.into(),
            agreed: false,
            directory: AcmeDirectory::default(),
            contacts: Vec::new(),
            ca_file: None,
            account: None,
            retry_delay: RETRY_DELAY,
        };
        for domain in domains {
            if !settings.domains.contains(&domain) {
                settings.domains.push(domain);
            }
        }
        settings
    }

    /// You agree to the terms of service of the certificate authority, which is required.
    pub fn agreeing_to_terms(self) -> Self {
        Self { agreed: true, ..self }
    }

    /// Another certificate authority.
    pub fn with_directory(self, directory: AcmeDirectory) -> Self {
        Self { directory, ..self }
    }

    /// Adds an email address at which the certificate authority may reach you.
    pub fn with_contact(mut self, email: impl Into<String>) -> Self {
        self.contacts.push(email.into());
        self
    }

    /// Trusts the authorities in this PEM file, instead of those of the system, for connections to the directory: for a
    /// private certificate authority.
    pub fn with_ca_file(self, file: impl Into<PathBuf>) -> Self {
        Self { ca_file: Some(file.into()), ..self }
    }

    /// Binds the account to one that you have at the certificate authority (external account binding), by its id and its key
    /// for message authentication codes.
    pub fn with_external_account(self, id: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self { account: Some(ExternalAccount { id: id.into(), key: key.into() }), ..self }
    }

    /// How long to wait after an order that fails, one minute unless this is called. The time doubles with each further
    /// failure, up to one hour.
    pub fn with_retry_delay(self, retry_delay: Duration) -> Self {
        Self { retry_delay, ..self }
    }
}
