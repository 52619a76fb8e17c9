//! `X-Forwarded-…`: what an app is told of the connection that it does not see.
//!
//! What a client says in these headers counts only when it is one of the proxies that the operator trusts; any other
//! client's are replaced, as it could claim to be anyone.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header;
use atoll_plugin::protocol::{Header, header_text};
use ipnet::IpNet;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";
const PREFIX: &str = "x-forwarded-prefix";

/// The proxies whose `X-Forwarded-…` headers are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    fn contains(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&peer))
    }
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// Whether the host sets a header of this name itself.
pub(super) fn is_forwarded(name: &str) -> bool {
    matches!(name, FOR | PROTO | HOST | PREFIX)
}

/// The client's address; one that is IPv4 inside of IPv6 as IPv4.
pub(super) fn peer(request: &HttpRequest) -> Option<SocketAddr> {
    let peer = request.peer_addr()?;
    Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// What the client calls this host: the authority in the request's target when it is there, or else the header `Host`.
pub(super) fn host(request: &HttpRequest) -> Option<Cow<'_, str>> {
    match request.uri().authority() {
        Some(authority) => authority.as_str().rsplit('@').next().map(Cow::Borrowed),
        None => request.headers().get(header::HOST).map(|host| header_text(host.as_bytes())),
    }
}

/// Adds the headers. `peer` is the client's address, also as text with its port.
pub(super) fn add<'a>(
    to: &mut Vec<Header<'a>>,
    request: &'a HttpRequest,
    peer: Option<(SocketAddr, &'a str)>,
    host: Option<&'a str>,
    prefix: &'a str,
    trusted: &TrustedProxies,
) {
    let believed = peer.is_some_and(|(peer, _)| trusted.contains(peer.ip()));
    let client_says = |name| {
        let first = request.headers().get(name).filter(|_| believed)?;
        Some(header_text(first.as_bytes()))
    };
    if let Some((_, text)) = peer {
        let ip = without_port(text);
        let others = request.headers().get_all(FOR).filter(|_| believed);
        let mut chain: Vec<Cow<'_, str>> = others.map(|value| header_text(value.as_bytes())).collect();
        let value = if chain.is_empty() {
            ip.into()
        } else {
            chain.push(ip.into());
            chain.join(", ").into()
        };
        to.push(Header(FOR.into(), value));
    }
    let own = if request.app_config().secure() { "https" } else { "http" };
    to.push(Header(PROTO.into(), client_says(PROTO).unwrap_or(own.into())));
    if let Some(value) = client_says(HOST).or(host.map(Cow::Borrowed)) {
        to.push(Header(HOST.into(), value));
    }
    let value = match client_says(PREFIX) {
        Some(outer) => format!("{}{prefix}", outer.trim_end_matches('/')).into(),
        None => Cow::Borrowed(prefix),
    };
    if !value.is_empty() {
        to.push(Header(PREFIX.into(), value));
    }
}

/// The address in `1.2.3.4:80` and `[::1]:80`.
fn without_port(text: &str) -> &str {
    let address = text.rsplit_once(':').map_or(text, |(address, _)| address);
    address.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_its_port() {
        assert_eq!(without_port("1.2.3.4:80"), "1.2.3.4");
        assert_eq!(without_port("[::1]:80"), "::1");
    }

    #[test]
    fn networks_contain_their_addresses() {
        let trusted: TrustedProxies =
            ["10.0.0.0/8", "::1/128"].iter().map(|net| net.parse().unwrap()).collect();
        assert!(trusted.contains("10.1.2.3".parse().unwrap()) && trusted.contains("::1".parse().unwrap()));
        assert!(!trusted.contains("11.0.0.1".parse().unwrap()));
    }
}
