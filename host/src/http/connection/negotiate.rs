//! Which protocol a connection speaks.

use std::rc::Rc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::current::Current;
use super::limits::TLS_HANDSHAKE_TIMEOUT;
use super::prefixed::Prefixed;
use super::protocols::Protocols;
use super::shared::{Answer, Shared};
use super::transport::Accepted;
use super::{http1, http2};
use crate::fs::spare_files;
use crate::tls::alpn;

/// What an HTTP/2 client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end.
pub(super) async fn serve<T: Accepted, S: Answer>(mut stream: T, shared: &Rc<Shared<S>>) {
    // What is free is for those who can end what has used the others up.
    if spare_files::are_given_up() {
        return;
    }
    stream.prepare();
    let header = shared.server.proxy_protocol.client(&mut stream, shared.server.limits.header_timeout);
    let Ok(address) = header.await else { return };
    let Ok(_place) = shared.server.addresses.admit(address) else { return };
    let secure = matches!(shared.server.protocols, Protocols::Tls(_));
    let current = Current::new(address, secure);
    let served = serve_as(stream, shared, current.clone());
    current.scope(served).await;
}

async fn serve_as<T: Accepted, S: Answer>(mut stream: T, shared: &Rc<Shared<S>>, current: Rc<Current>) {
    let limit = shared.server.limits.header_timeout;
    match &shared.server.protocols {
        Protocols::Http1 => {
            http1::serve(stream, BytesMut::new(), Instant::now() + limit, shared, &current).await;
        }
        Protocols::Http1Or2 => {
            let deadline = Instant::now() + limit;
            let mut begun = BytesMut::new();
            // What comes too late is for HTTP/1 to refuse.
            let is_http2 = timeout_at(deadline, begins_with_http2(&mut stream, &mut begun)).await;
            if is_http2 == Ok(true) {
                http2::serve(Prefixed::new(begun, stream), shared, current).await;
            } else {
                http1::serve(stream, begun, deadline, shared, &current).await;
            }
        }
        Protocols::Tls(tls) => {
            let Ok(Some(stream)) = timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream)).await else {
                return;
            };
            let session = stream.get_ref().1;
            if let Some([certificate, ..]) = session.peer_certificates() {
                current.set_client_certificate(certificate);
            }
            if session.alpn_protocol() == Some(alpn::HTTP2) {
                http2::serve(stream, shared, current).await;
            } else {
                let deadline = Instant::now() + limit;
                http1::serve(stream, BytesMut::new(), deadline, shared, &current).await;
            }
        }
    }
}

/// Reads until it is certain whether the client speaks HTTP/2.
async fn begins_with_http2(stream: &mut (impl AsyncRead + Unpin), begun: &mut BytesMut) -> bool {
    while begun.len() < PREFACE.len() && PREFACE.starts_with(begun) {
        if !matches!(stream.read_buf(begun).await, Ok(1..)) {
            return false;
        }
    }
    begun.starts_with(PREFACE)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn http2_is_known_by_its_preface_alone() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], false),
            (b"P", false),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", false),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", false),
            (PREFACE, true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0", true),
        ] {
            let (mut stream, mut begun) = (bytes, BytesMut::new());
            let is_http2 = begins_with_http2(&mut stream, &mut begun).now_or_never().unwrap();
            assert_eq!((is_http2, [&begun[..], stream].concat()), (expected, bytes.to_vec()));
        }
    }
}
