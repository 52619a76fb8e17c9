//! The options for TLS.

use std::path::PathBuf;

use anyhow::ensure;
use atoll_host::internal::tls::TlsFiles;
use clap::Args;

/// The files of TLS.
#[derive(Args, Clone, Debug)]
pub(super) struct TlsArgs {
    /// Serve HTTPS with this PEM certificate chain; reloaded when the file changes. Repeatable, each with its --tls-key:
    /// clients get the certificate for the name that they ask for, or else the first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Vec<PathBuf>,
    /// The certificate's private key, in PEM format.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Vec<PathBuf>,
    /// Require clients to have a certificate that was issued by an authority in this PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// The files, if there are some.
    pub(super) fn files(&self) -> anyhow::Result<Option<TlsFiles>> {
        let (certificates, keys) = (self.tls_cert.len(), self.tls_key.len());
        ensure!(
            certificates == keys,
            "{certificates} --tls-cert and {keys} --tls-key: each certificate needs its key"
        );
        let pairs = self.tls_cert.iter().cloned().zip(self.tls_key.iter().cloned());
        let files = TlsFiles { certificates: pairs.collect(), client_ca: self.tls_client_ca.clone() };
        Ok((certificates > 0).then_some(files))
    }
}
