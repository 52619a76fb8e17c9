//! The names that protocols have in TLS.

/// HTTP/2.
pub(crate) const HTTP2: &[u8] = b"h2";

/// HTTP/1.1.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// HTTP/1.0.
pub(crate) const HTTP1_0: &[u8] = b"http/1.0";

/// What a certificate authority offers, and nothing else, to validate a name: RFC 8737.
pub(crate) const ACME: &[u8] = b"acme-tls/1";
