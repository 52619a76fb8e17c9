//! The certificate for the name that a client asks for.

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::issued::Issued;

/// Chooses a certificate by the name that a client asks for.
#[derive(Debug)]
pub(super) struct ByName {
    /// Those in files, which come first.
    pub(super) files: Vec<Arc<CertifiedKey>>,
    /// Those by ACME.
    pub(super) issued: Issued,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let of_name = hello.server_name().and_then(|name| self.of_name(name));
        of_name.or_else(|| self.files.first().cloned()).or_else(|| self.issued.first())
    }
}

impl ByName {
    fn of_name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let server_name = ServerName::try_from(name).ok()?;
        let of_file = self.files.iter().find(|key| is_for(key, &server_name)).cloned();
        of_file.or_else(|| self.issued.of_name(name))
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let certificate = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    certificate.is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}
