//! The certificates of a server, for a listener that is open before the server has them.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::serving::Tls;

/// The certificates that a server uses, once they are [set](Self::set). Until then, handshakes fail. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LateCertificates(Arc<OnceLock<Arc<ArcSwap<ServerConfig>>>>);

impl LateCertificates {
    /// Uses the certificates of this server from now on, also those that it loads or obtains later.
    pub fn set(&self, tls: &Tls) {
        // The first one stays: a host has one server with TLS.
        let _ = self.0.set(tls.accept().current);
    }

    /// The configuration of a listener that uses them, without certificates of clients.
    ///
    /// # Errors
    /// The library does not support it.
    pub(crate) fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(builder.with_no_client_auth().with_cert_resolver(Arc::new(self.clone())))
    }
}

impl ResolvesServerCert for LateCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get()?.load().cert_resolver.resolve(hello)
    }
}
