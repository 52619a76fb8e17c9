//! TLS as a client speaks it: to certificate authorities, and to the admin API of another machine.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// The configuration of a client that trusts these authorities.
///
/// # Errors
/// The library does not support it.
pub(crate) fn config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificate authorities that this system trusts, by its files or the variables `SSL_CERT_FILE` and `SSL_CERT_DIR`.
/// `None`: none can be read; the log has the reasons.
pub(crate) fn system_authorities() -> Option<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A few that are old or unusual are no reason to do without the others.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        found.errors.iter().for_each(|error| log::warn!("cannot read certificate authorities: {error}"));
        return None;
    }
    Some(roots)
}
