//! The options for TLS.

use std::path::PathBuf;

use anyhow::ensure;
use atoll_host::TlsSettings;
use clap::{ArgGroup, Args};

use super::acme::AcmeArgs;
use super::state_dir::StateDir;

/// The certificates of a server.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("https").args(["tls_cert", "acme"]).multiple(true)))]
pub(super) struct TlsArgs {
    /// Serve HTTPS with this PEM certificate chain; reloaded when the file changes. Repeatable, each with its --tls-key:
    /// clients get the certificate for the name that they ask for, or else the first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Vec<PathBuf>,
    /// The certificate's private key, in PEM format.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Vec<PathBuf>,
    /// Require clients to have a certificate that was issued by an authority in this PEM file.
    #[arg(long, value_name = "FILE", requires = "https")]
    tls_client_ca: Option<PathBuf>,
    #[command(flatten)]
    acme: AcmeArgs,
}

impl TlsArgs {
    /// Whether there is to be TLS.
    pub(super) fn is_on(&self) -> bool {
        !self.tls_cert.is_empty() || self.acme.is_on()
    }

    /// What TLS is to be, if there is to be some.
    pub(super) fn settings(&self, state: &StateDir) -> anyhow::Result<Option<TlsSettings>> {
        let (certificates, keys) = (self.tls_cert.len(), self.tls_key.len());
        ensure!(
            certificates == keys,
            "{certificates} --tls-cert and {keys} --tls-key: each certificate needs its key"
        );
        let acme = self.acme.settings(state)?;
        if certificates == 0 && acme.is_none() {
            return Ok(None);
        }
        let mut settings = TlsSettings::default();
        for (certificate, key) in self.tls_cert.iter().zip(&self.tls_key) {
            settings = settings.with_certificate(certificate, key);
        }
        if let Some(file) = &self.tls_client_ca {
            settings = settings.with_client_ca(file);
        }
        if let Some(acme) = acme {
            settings = settings.with_acme(acme);
        }
        Ok(Some(settings))
    }
}
