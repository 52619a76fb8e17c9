//! What carries a connection's bytes.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::limits::CLIENT_GONE_TIMEOUT;

/// How often the system asks whether the other end of a silent connection is still there, until the connection is given
/// up.
const KEEPALIVE_RETRIES: u32 = 6;

/// A stream of bytes over a socket.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The socket beneath.
    fn socket(&self) -> SockRef<'_>;

    /// Has the client see an error, and not an end, when the stream is dropped.
    fn break_off(&self) {
        // A connection on which this fails has broken off already.
        let _ = self.socket().set_linger(Some(Duration::ZERO));
    }
}

/// A socket as it is accepted.
pub(crate) trait Accepted: Transport + 'static {
    /// The client's address, if it has one.
    fn client(&self) -> Option<SocketAddr>;

    /// Sets the options that each connection has.
    fn prepare(&self);
}

impl Transport for TcpStream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl Accepted for TcpStream {
    fn client(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }

    fn prepare(&self) {
        // The next piece of a stream does not wait until the client has acknowledged the one before. Where one of these fails,
        // the connection is of no use any more, which the next read shows.
        let _ = self.set_nodelay(true);
        let half = CLIENT_GONE_TIMEOUT / 2;
        let keepalive = TcpKeepalive::new().with_time(half).with_interval(half / KEEPALIVE_RETRIES);
        let socket = self.socket();
        let _ = socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES));
        // The system asks nothing while something is on its way, and would send that again for a quarter of an hour.
        let _ = socket.set_tcp_user_timeout(Some(CLIENT_GONE_TIMEOUT));
    }
}

impl Transport for UnixStream {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl Accepted for UnixStream {
    fn client(&self) -> Option<SocketAddr> {
        None
    }

    fn prepare(&self) {}
}

impl<T: Transport> Transport for TlsStream<T> {
    fn socket(&self) -> SockRef<'_> {
        self.get_ref().0.socket()
    }
}
