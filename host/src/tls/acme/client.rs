//! The HTTP client for certificate authorities, with limits.

use std::path::Path;
use std::pin::Pin;
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
use rustls::RootCertStore;
use tokio::time::timeout;

use super::error::AcmeError;
use crate::tls::{client, pem_file};

/// How long a certificate authority may take for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes a response may have: far more than a chain of certificates.
const RESPONSE_LIMIT: usize = 1 << 20;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("atoll/", env!("CARGO_PKG_VERSION")));

/// A client for certificate authorities. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct AcmeClient {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    timeout: Duration,
}

impl AcmeClient {
    /// One that trusts the authorities in this file, or without it those of the system.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, AcmeError> {
        let roots = match ca_file {
            Some(file) => of_file(file)?,
            None => client::system_authorities().ok_or(AcmeError::NoAuthorities)?,
        };
        let tls = client::config(roots).map_err(AcmeError::Unsupported)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, timeout: RESPONSE_TIMEOUT })
    }
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
        let (response, limit) = (self.client.request(request), self.timeout);
        Box::pin(async move {
            let response = async {
                let response = response.await.map_err(|error| Error::Other(error.into()))?;
                let (parts, body) = response.into_parts();
                let body = Limited::new(body, RESPONSE_LIMIT).collect().await.map_err(Error::Other)?;
                Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
            };
            timeout(limit, response).await.unwrap_or_else(|_| {
                Err(Error::Other(format!("{host} does not respond within {limit:?}").into()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::crypto::ring;
    use std::net::SocketAddr;

    use rustls::ServerConfig;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::observe::error_chain::with_sources;

    /// A server that responds with a body of so many bytes; `None`: not at all.
    async fn serve(length: Option<usize>) -> (SocketAddr, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let authority = made.cert.pem();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.into()], made.signing_key.into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            match length {
                Some(length) => {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await.unwrap();
                    // A client that has read too much ends the connection.
                    let _ = stream.write_all(&vec![b' '; length]).await;
                }
                None => std::future::pending().await,
            }
        });
        (address, authority)
    }

    async fn get(length: Option<usize>) -> Result<usize, String> {
        let (address, authority) = serve(length).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority).unwrap();
        let mut client = AcmeClient::new(Some(file.path())).unwrap();
        if length.is_none() {
            client.timeout = Duration::from_millis(300);
        }
        let request = Request::get(format!("https://{address}/")).body(BodyWrapper::default()).unwrap();
        let mut response = client.request(request).await.map_err(|error| with_sources(&error))?;
        Ok(response.body.into_bytes().await.unwrap().len())
    }

    #[tokio::test]
    async fn a_response_has_limits() {
        assert_eq!(get(Some(RESPONSE_LIMIT)).await, Ok(RESPONSE_LIMIT));
        assert_eq!(get(Some(RESPONSE_LIMIT + 1)).await.unwrap_err(), "length limit exceeded");
        assert_eq!(get(None).await.unwrap_err(), "127.0.0.1 does not respond within 300ms");
    }
}
