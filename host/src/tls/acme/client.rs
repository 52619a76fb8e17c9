//! The HTTP client for certificate authorities, with limits.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use super::error::AcmeError;
use crate::tls::pem_file;

/// How long a certificate authority may take for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes a response may have: far more than a chain of certificates.
const RESPONSE_LIMIT: usize = 1 << 20;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("atoll/", env!("CARGO_PKG_VERSION")));

/// A client for certificate authorities. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct AcmeClient(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl AcmeClient {
    /// One that trusts the authorities in this file, or without it those of the system.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, AcmeError> {
        let roots = ca_file.map_or_else(of_system, of_file)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(AcmeError::Unsupported)?;
        let tls = builder.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

fn of_system() -> Result<RootCertStore, AcmeError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A few that are old or unusual are no reason to do without the others.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        found.errors.iter().for_each(|error| log::warn!("cannot read certificate authorities: {error}"));
        return Err(AcmeError::NoAuthorities);
    }
    Ok(roots)
}

fn of_file(path: &Path) -> Result<RootCertStore, AcmeError> {
    let authorities =
        pem_file::certificates(path).map_err(|reason| AcmeError::CaFile { path: path.to_owned(), reason })?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|reason| AcmeError::Ca { path: path.to_owned(), reason })?;
    }
    Ok(roots)
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        request.headers_mut().insert(USER_AGENT, AGENT);
        let host = request.uri().host().unwrap_or_default().to_owned();
        let response = self.0.request(request);
        Box::pin(async move {
            let response = async {
                let response = response.await.map_err(|error| Error::Other(error.into()))?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, RESPONSE_LIMIT).collect().await.map_err(Error::Other)?;
                Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
            };
            timeout(RESPONSE_TIMEOUT, response).await.unwrap_or_else(|_| {
                Err(Error::Other(format!("{host} does not respond within {RESPONSE_TIMEOUT:?}").into()))
            })
        })
    }
}
