//! The TLS of certificate authorities that validate a domain.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;

use super::challenges::Challenges;
use crate::tls::alpn;

/// The configuration for their connections: without client certificates, which they do not have, and with the certificates of
/// open challenges alone.
///
/// # Errors
/// The system gives no random numbers.
pub(in crate::tls) fn config(challenges: &Challenges) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(challenges.clone()));
    config.alpn_protocols = vec![alpn::ACME.to_vec()];
    Ok(Arc::new(config))
}
