//! `X-Forwarded-…`: describes the client's connection to the app.
//!
//! What a client says in these headers counts only when it is one of the proxies that the operator trusts; any other
//! client's are replaced, as it could claim to be anyone.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderValue};
use atoll_plugin::protocol::{Header, header_text};

use super::peer::Peer;
use super::trusted_proxies::TrustedProxies;
use crate::http::connection::Current;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";
const PREFIX: &str = "x-forwarded-prefix";

/// The token for a choice of the version.
pub(super) const TOKEN: &str = "x-atoll-token";

/// The certificate with which the client has authenticated itself in TLS (RFC 9440).
const CLIENT_CERT: &str = "client-cert";

/// The certificates that have issued it, which the host does not send.
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";

/// Whether the host sets a header of this name itself, or no client may, or it has a secret for the host.
pub(super) fn is_forwarded(name: &str) -> bool {
    matches!(name, FOR | PROTO | HOST | PREFIX | CLIENT_CERT | CLIENT_CERT_CHAIN | TOKEN)
}

/// The address of the client: of the first hop, from the host on, that is no trusted proxy. `None`: it has none, or a proxy does
/// not give it.
pub(super) fn client(request: &HttpRequest, peer: Option<&Peer>, trusted: &TrustedProxies) -> Option<IpAddr> {
    let mut address = peer.map(Peer::ip);
    let headers: Vec<&HeaderValue> = request.headers().get_all(FOR).collect();
    let hops = headers.iter().rev().filter_map(|value| value.to_str().ok()).flat_map(|hops| hops.rsplit(','));
    for hop in hops {
        if !trusted.contains(address) {
            break;
        }
        let hop = hop.trim();
        let found = hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
        match found {
            Ok(found) => address = Some(found.to_canonical()),
            Err(_) => break,
        }
    }
    address
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
    let is_trusted = trusted.contains(peer.map(Peer::ip));
    let header = request.headers().get(PREFIX).filter(|_| is_trusted);
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
    let headers = trusted.contains(peer.map(Peer::ip)).then(|| request.headers());
    let forwarded = |name| headers?.get(name).map(|value| header_text(value.as_bytes()));
    let before = headers.into_iter().flat_map(|headers| headers.get_all(FOR));
    let before: Vec<_> = before.map(|value| header_text(value.as_bytes())).collect();
    let own = peer.map(|peer| Cow::from(peer.ip_text()));
    // Most requests have not passed a proxy, and need no list.
    let hops = match (before.is_empty(), own) {
        (true, own) => own,
        (false, own) => Some(before.into_iter().chain(own).collect::<Vec<_>>().join(", ").into()),
    };
    to.extend(hops.map(|hops| Header(FOR.into(), hops)));
    let certificate = Current::client_certificate().map(Cow::Owned).or_else(|| forwarded(CLIENT_CERT));
    to.extend(certificate.map(|certificate| Header(CLIENT_CERT.into(), certificate)));
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
