//! The connection that the running task serves.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;

use actix_web::HttpRequest;
use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;

use crate::http::peer::Peer;

tokio::task_local! {
    static CURRENT: Rc<Current>;
}

/// What requests know about their connection.
#[derive(Debug)]
pub(crate) struct Current {
    address: Option<SocketAddr>,
    secure: bool,
    /// The certificate of the client, as the header `Client-Cert` has it.
    client_certificate: OnceCell<String>,
    peer: OnceCell<Option<Peer>>,
}

impl Current {
    /// A connection with the client at this address; in TLS if it is `secure`.
    pub(super) fn new(address: Option<SocketAddr>, secure: bool) -> Rc<Self> {
        Rc::new(Self { address, secure, client_certificate: OnceCell::new(), peer: OnceCell::new() })
    }

    /// The client's address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Notes the certificate with which the client has authenticated itself.
    pub(super) fn set_client_certificate(&self, certificate: &CertificateDer<'_>) {
        // Set once, after the handshake.
        let _ = self.client_certificate.set(format!(":{}:", BASE64.encode(certificate)));
    }

    /// The certificate of the client of the connection that the running task serves, as RFC 9440 writes it.
    pub(crate) fn client_certificate() -> Option<String> {
        CURRENT.try_with(|current| current.client_certificate.get().cloned()).ok().flatten()
    }

    /// Makes it the connection of what runs in `task`.
    pub(super) fn scope<F: Future>(self: Rc<Self>, task: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, task)
    }

    /// Whether the running task serves a connection in TLS.
    pub(crate) fn is_secure() -> bool {
        CURRENT.try_with(|current| current.secure).unwrap_or(false)
    }

    /// The client that has sent a request; found once for each connection, as an address is not made into text for each
    /// request.
    pub(crate) fn peer(request: &HttpRequest) -> Option<Peer> {
        let find = || request.peer_addr().map(Peer::from);
        CURRENT.try_with(|current| current.peer.get_or_init(find).clone()).unwrap_or_else(|_| find())
    }
}
