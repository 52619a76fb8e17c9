//! Which connections begin with a header of the PROXY protocol.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::timeout;

use super::proxy_header;
use super::transport::Accepted;
use crate::http::trusted_proxies::TrustedProxies;
use crate::observe::throttle::Throttle;

/// How many lines in a second say that a header is missing.
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// Which connections begin with a header of the PROXY protocol: all of these proxies, and no others, as a header could claim
/// to be anyone.
#[derive(Debug)]
pub(crate) struct ProxyProtocol {
    proxies: TrustedProxies,
    refused: Throttle,
}

impl ProxyProtocol {
    /// On the connections of these proxies.
    pub(crate) fn of(proxies: TrustedProxies) -> Self {
        Self { proxies, refused: Throttle::new(LINES_PER_SECOND) }
    }

    /// The address of the client at the end of a connection: what the header says, or else the socket. `Err`: a proxy has
    /// sent no header within the time.
    pub(super) async fn client(
        &self,
        stream: &mut impl Accepted,
        limit: Duration,
    ) -> io::Result<Option<SocketAddr>> {
        let client = stream.client();
        if !self.proxies.contains(client.map(|client| client.ip())) {
            return Ok(client);
        }
        let header = timeout(limit, proxy_header::read(stream)).await;
        match header.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())) {
            Ok(named) => Ok(named.or(client)),
            // One that only looks whether somebody listens.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(error),
            Err(error) => {
                let from =
                    client.map_or_else(|| "a Unix socket".to_owned(), |client| client.ip().to_string());
                if let Some(left_out) = self.refused.pass() {
                    log::warn!(
                        "closed a connection of {from}, which --proxy-protocol names: {error} ({left_out} more were closed \
                         before)"
                    );
                }
                Err(error)
            }
        }
    }
}
