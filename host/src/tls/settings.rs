//! What TLS is to be.

use std::path::PathBuf;

use super::acme::AcmeSettings;
use super::files::CertificateFiles;

/// The certificates of a server, from files and by ACME.
///
/// A client gets the first certificate in a file that is valid for the name that it asks for (SNI), or else the one by ACME for
/// this name, or else the first of all.
///
/// ```no_run
/// use actix_web::web::ServiceConfig;
/// use atoll_host::{AcmeSettings, Host, TlsSettings};
///
/// #[actix_web::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let host = Host::builder("apps.json").start()?;
///     let acme = AcmeSettings::new(["www.example.com".parse()?], "/var/lib/atoll").agreeing_to_terms();
///     let tls = TlsSettings::default().with_certificate("cert.pem", "key.pem").with_acme(acme);
///     let no_pages = |_: &mut ServiceConfig| {};
///     let server = host.server(&[":443".parse()?], no_pages)?.with_redirect(&[":80".parse()?])?;
///     server.with_tls(tls)?.run().await?;
///     host.close().await;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TlsSettings {
    pub(super) certificates: Vec<CertificateFiles>,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) acme: Option<AcmeSettings>,
}

impl TlsSettings {
    /// Adds a certificate chain, the server's own certificate first, and its private key, each in a file in PEM format. Both are
    /// loaded again when they change.
    pub fn with_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificates.push(CertificateFiles { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Requires clients to have a certificate that was issued by an authority in this file in PEM format, which is loaded again
    /// when it changes.
    pub fn with_client_ca(self, file: impl Into<PathBuf>) -> Self {
        Self { client_ca: Some(file.into()), ..self }
    }

    /// Obtains certificates by ACME, too, and renews them.
    pub fn with_acme(self, acme: AcmeSettings) -> Self {
        Self { acme: Some(acme), ..self }
    }
}
