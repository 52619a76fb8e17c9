//! Who may describe a client's connection in its place.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Proxies in front of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Those with an address in this network.
    Network(IpNet),
    /// Those that connect to a Unix socket of the host.
    Unix,
}

/// A text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, a network such as 10.0.0.0/8, or `unix`")]
pub struct NoTrustedProxy;

impl FromStr for TrustedProxy {
    type Err = NoTrustedProxy;

    fn from_str(text: &str) -> Result<Self, NoTrustedProxy> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse());
        network.map(Self::Network).map_err(|_| NoTrustedProxy)
    }
}

impl From<IpNet> for TrustedProxy {
    fn from(network: IpNet) -> Self {
        Self::Network(network)
    }
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<TrustedProxy>);

impl TrustedProxies {
    /// Whether one of them has this address; a client of a Unix socket has none.
    pub(super) fn contains(&self, peer: Option<IpAddr>) -> bool {
        self.0.iter().any(|proxy| match (proxy, peer) {
            (TrustedProxy::Network(network), Some(peer)) => network.contains(&peer.to_canonical()),
            (TrustedProxy::Unix, None) => true,
            _ => false,
        })
    }
}

impl<T: Into<TrustedProxy>> FromIterator<T> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = T>>(proxies: I) -> Self {
        Self(proxies.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let trusted: TrustedProxies =
            ["10.0.0.0/8", "::1"].iter().map(|net| net.parse::<TrustedProxy>().unwrap()).collect();
        let contains = |peer: &str| trusted.contains(Some(peer.parse().unwrap()));
        assert!(contains("10.1.2.3") && contains("::ffff:10.1.2.3") && contains("::1"));
        assert!(!contains("11.0.0.1") && !trusted.contains(None));
    }

    #[test]
    fn unix_sockets_are_trusted_by_name() {
        let trusted: TrustedProxies = ["unix".parse::<TrustedProxy>().unwrap()].into_iter().collect();
        assert!(trusted.contains(None) && !trusted.contains(Some("127.0.0.1".parse().unwrap())));
        for text in ["", "unix:", "10.0.0.0/33", "localhost"] {
            assert_eq!(text.parse::<TrustedProxy>(), Err(NoTrustedProxy), "{text}");
        }
    }
}
