//! The client at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

use compact_str::{CompactString, ToCompactString};

/// A client's address; one that is IPv4 inside of IPv6 as IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    ip: IpAddr,
    text: CompactString,
}

impl Peer {
    /// The address without its port.
    pub(super) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The address without its port, as text.
    pub(super) fn ip_text(&self) -> &str {
        let address = self.text.rsplit_once(':').map_or(&*self.text, |(address, _)| address);
        address.trim_start_matches('[').trim_end_matches(']')
    }

    /// The address with its port, as text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        let ip = address.ip().to_canonical();
        Self { ip, text: SocketAddr::new(ip, address.port()).to_compact_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_text_with_and_without_its_port() {
        for (address, text, ip) in [
            ("1.2.3.4:80", "1.2.3.4:80", "1.2.3.4"),
            ("[::1]:80", "[::1]:80", "::1"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4:80", "1.2.3.4"),
        ] {
            let peer = Peer::from(address.parse::<SocketAddr>().unwrap());
            assert_eq!((peer.text(), peer.ip_text(), peer.ip()), (text, ip, ip.parse().unwrap()));
        }
    }
}
