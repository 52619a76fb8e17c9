//! A certificate by ACME.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// The chain and the private key, in PEM format.
    pub(super) pem: Vec<u8>,
}

impl Certificate {
    /// Reads a chain and its private key, in PEM format.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn parse(pem: Vec<u8>) -> Result<Self, String> {
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| error.to_string())?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
        Ok(Self { key: Arc::new(key.map_err(|error| error.to_string())?), pem })
    }
}
