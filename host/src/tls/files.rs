//! Certificates and authorities in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use super::error::TlsError;
use super::pem_file;

/// Where a certificate is: its chain, the server's own first, and its private key, both in PEM format.
#[derive(Clone, Debug)]
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl CertificateFiles {
    pub(super) fn load(&self) -> Result<CertifiedKey, TlsError> {
        let chain = pem_file::certificates(&self.certificate)
            .map_err(|error| unreadable("certificate", &self.certificate, error, ""))?;
        let key = pem_file::key(&self.key).map_err(|error| {
            unreadable("private key", &self.key, error, " (a key with a passphrase is not supported)")
        })?;
        let Self { certificate, key: key_file } = self.clone();
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|reason| match reason {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key: key_file },
            reason => TlsError::Unusable { certificate, key: key_file, reason },
        })
    }
}

fn unreadable(what: &'static str, path: &Path, error: pem::Error, hint: &'static str) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(reason) => TlsError::Unreadable { what, path, reason },
        pem::Error::NoItemsFound => TlsError::Empty { what, path, hint },
        reason => TlsError::Malformed { what, path, reason },
    }
}

/// What decides whether a client's certificate was issued by one of the authorities in a file.
pub(super) fn client_verifier(
    file: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let authorities =
        pem_file::certificates(file).map_err(|error| unreadable("client CA", file, error, ""))?;
    let unusable = |reason: String| TlsError::ClientCa { path: file.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|reason| unusable(reason.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.map_err(|reason| unusable(reason.to_string()))
}
