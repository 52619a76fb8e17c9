//! The protocols that a listener's connections may speak.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;

/// The name of HTTP/2 in TLS.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";

/// The name of HTTP/1.1 in TLS.
pub(crate) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// The name of HTTP/1.0 in TLS.
pub(crate) const ALPN_HTTP1_0: &[u8] = b"http/1.0";

/// What is spoken on a listener's connections.
#[derive(Clone, Debug)]
pub(crate) enum Protocols {
    /// HTTP/1.
    Http1,
    /// HTTP/1, or HTTP/2 with a client that begins with it.
    Http1Or2,
    /// HTTP/1 or HTTP/2 in TLS, as the client prefers, with the configuration as it is at each connection.
    Tls(Arc<ArcSwap<ServerConfig>>),
}
