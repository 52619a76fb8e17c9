//! The handshake.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::alpn;

/// How connections begin in TLS.
#[derive(Clone, Debug)]
pub(crate) struct TlsAccept {
    /// As it is at each connection.
    pub(super) current: Arc<ArcSwap<ServerConfig>>,
    /// For the certificate authorities that validate a name.
    pub(super) validation: Option<Arc<ServerConfig>>,
}

impl TlsAccept {
    /// Does the handshake of a connection. `None`: it failed, or the client is a certificate authority that has validated a
    /// name, and wants nothing else.
    pub(crate) async fn accept<S>(&self, stream: S) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(validation) = &self.validation else {
            return TlsAcceptor::from(self.current.load_full()).accept(stream).await.ok();
        };
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
        if !validates(&begun.client_hello()) {
            return begun.into_stream(self.current.load_full()).await.ok();
        }
        let mut stream = begun.into_stream(validation.clone()).await.ok()?;
        // It has what it came for, whether it waits for the end or not.
        let _ = stream.shutdown().await;
        None
    }
}

fn validates(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|offered| offered.eq([alpn::ACME]))
}
