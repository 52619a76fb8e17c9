//! The protocols that a listener's connections may speak.

use crate::tls::accept::TlsAccept;

/// What is spoken on a listener's connections.
#[derive(Clone, Debug)]
pub(crate) enum Protocols {
    /// HTTP/1.
    Http1,
    /// HTTP/1, or HTTP/2 with a client that begins with it.
    Http1Or2,
    /// HTTP/1 or HTTP/2 in TLS, as the client prefers.
    Tls(TlsAccept),
}
