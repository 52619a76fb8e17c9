//! `X-Forwarded-…`: describes the client's connection to the app.
//!
//! What a client says in these headers counts only when it is one of the proxies that the operator trusts; any other
//! client's are replaced, as it could claim to be anyone.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header;
use atoll_plugin::protocol::{Header, header_text};

use super::peer::Peer;
use super::trusted_proxies::TrustedProxies;
use crate::http::connection::Current;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";
const PREFIX: &str = "x-forwarded-prefix";

/// Whether the host sets a header of this name itself.
pub(super) fn is_forwarded(name: &str) -> bool {
    matches!(name, FOR | PROTO | HOST | PREFIX)
}

/// What the client calls this host: the authority in the request's target when it is there, or else the header `Host`.
pub(super) fn host(request: &HttpRequest) -> Option<Cow<'_, str>> {
    match request.uri().authority() {
        Some(authority) => authority.as_str().rsplit('@').next().map(Cow::Borrowed),
        None => request.headers().get(header::HOST).map(|host| header_text(host.as_bytes())),
    }
}

/// What a proxy in front has taken off the path, as it says in `X-Forwarded-Prefix`. Nothing when it is not trusted, or
/// does not say a path on the same host.
pub(super) fn outer_prefix<'a>(
    request: &'a HttpRequest,
    peer: Option<&Peer>,
    trusted: &TrustedProxies,
) -> &'a str {
    let header = peer.filter(|peer| trusted.contains(peer.ip())).and_then(|_| request.headers().get(PREFIX));
    let prefix = header.and_then(|prefix| prefix.to_str().ok()).unwrap_or("").trim_end_matches('/');
    let is_path = prefix.starts_with('/') && !prefix.starts_with("//") && !prefix.contains('\\');
    if is_path { prefix } else { "" }
}

/// The scheme of the connection that a request came by.
pub(super) fn scheme(request: &HttpRequest) -> &'static str {
    if Current::is_secure() || request.app_config().secure() { "https" } else { "http" }
}

/// Adds the headers.
pub(super) fn add<'a>(
    to: &mut Vec<Header<'a>>,
    request: &'a HttpRequest,
    peer: Option<&'a Peer>,
    host: Option<&'a str>,
    prefix: &'a str,
    trusted: &TrustedProxies,
) {
    // What the client says, when it is believed.
    let headers = peer.filter(|peer| trusted.contains(peer.ip())).map(|_| request.headers());
    let forwarded = |name| headers?.get(name).map(|value| header_text(value.as_bytes()));
    if let Some(ip) = peer.map(Peer::ip_text) {
        let before: Vec<_> = headers
            .iter()
            .flat_map(|headers| headers.get_all(FOR))
            .map(|value| header_text(value.as_bytes()))
            .collect();
        let value = if before.is_empty() { ip.into() } else { format!("{}, {ip}", before.join(", ")).into() };
        to.push(Header(FOR.into(), value));
    }
    to.push(Header(PROTO.into(), forwarded(PROTO).unwrap_or(scheme(request).into())));
    if let Some(value) = forwarded(HOST).or(host.map(Cow::Borrowed)) {
        to.push(Header(HOST.into(), value));
    }
    let value = match forwarded(PREFIX) {
        Some(outer) => format!("{}{prefix}", outer.trim_end_matches('/')).into(),
        None => Cow::Borrowed(prefix),
    };
    if !value.is_empty() {
        to.push(Header(PREFIX.into(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let trusted: TrustedProxies =
            ["10.0.0.0/8", "::1/128"].iter().map(|net| net.parse().unwrap()).collect();
        assert!(trusted.contains("10.1.2.3".parse().unwrap()) && trusted.contains("::1".parse().unwrap()));
        assert!(!trusted.contains("11.0.0.1".parse().unwrap()));
    }
}
