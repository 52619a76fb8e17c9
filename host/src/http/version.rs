//! Which version of an app a request is for, while the app's traffic is split.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use super::connection::Current;
use super::forwarded::{self, TOKEN};
use super::settings::HttpSettings;
use crate::app::handle::App;
use crate::app::traffic::Traffic;
use crate::config::Sticky;
use crate::dispatch::problem::{Problem, ProblemKind};

/// The header that chooses a version.
static VERSION: HeaderName = HeaderName::from_static("x-atoll-version");

/// What stands for the current version in the header.
const CURRENT: &str = "current";

/// The version that a request to `app` is for; `None`: the current one.
///
/// # Errors
/// The request chooses a version that does not serve, or may not choose.
pub(super) fn of(
    request: &HttpRequest,
    app: &App,
    traffic: &Traffic,
    front: &HttpSettings,
) -> Result<Option<Arc<App>>, Problem> {
    let peer = Current::peer(request);
    let address = forwarded::client(request, peer.as_ref(), &front.trusted);
    if let Some(wanted) = request.headers().get(&VERSION) {
        check_permission(request, app.name(), address, front)?;
        return chosen(wanted, app.name(), traffic);
    }
    let settings = app.settings();
    let named = match &settings.sticky {
        Sticky::Address => None,
        Sticky::Header(name) => request.headers().get(name.as_str()).map(HeaderValue::as_bytes),
        Sticky::Cookie(name) => cookie(request, name),
    };
    let version = match (named, address) {
        (Some(named), _) => traffic.of_client(named),
        (None, Some(IpAddr::V4(address))) => traffic.of_client(&address.octets()),
        (None, Some(IpAddr::V6(address))) => traffic.of_client(&address.octets()),
        (None, None) => traffic.of_client(&[]),
    };
    Ok(version.cloned())
}

fn check_permission(
    request: &HttpRequest,
    app: &str,
    address: Option<IpAddr>,
    front: &HttpSettings,
) -> Result<(), Problem> {
    let token = request.headers().get(TOKEN).and_then(|token| token.to_str().ok());
    let is_good =
        |token: &str| front.deploy_tokens.as_ref().is_some_and(|tokens| tokens.may_deploy(app, token.trim()));
    if token.is_some_and(is_good) || address.is_some_and(|address| front.trusted.contains(Some(address))) {
        return Ok(());
    }
    let detail = format!(
        "The header X-Atoll-Version takes a token with the permission deploy for {app}, in the header X-Atoll-Token, or a client \
        in a trusted network (--trusted-proxy)."
    );
    Err(Problem::new(ProblemKind::Forbidden, detail))
}

/// The version with this id, or the only one whose id begins so.
fn chosen(wanted: &HeaderValue, app: &str, traffic: &Traffic) -> Result<Option<Arc<App>>, Problem> {
    let wanted = wanted.to_str().unwrap_or_default();
    if wanted == CURRENT {
        return Ok(None);
    }
    let mut found =
        traffic.versions().iter().filter(|version| !wanted.is_empty() && version.id().starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(version), None) => Ok(Some(version.app.clone())),
        _ => {
            let known: Vec<&str> =
                traffic.versions().iter().map(|version| version.id()).chain([CURRENT]).collect();
            let detail = format!(
                "The header X-Atoll-Version names no version of `{app}` that serves; expected one of {}.",
                known.join(", ")
            );
            Err(Problem::new(ProblemKind::NotFound, detail))
        }
    }
}

/// The value of the first cookie of this name.
fn cookie<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a [u8]> {
    let headers = request.headers().get_all(header::COOKIE);
    let mut cookies = headers.flat_map(|cookies| cookies.as_bytes().split(|byte| *byte == b';'));
    cookies.find_map(|cookie| cookie.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::peer::Peer;

    #[test]
    fn a_cookie_is_found_by_its_name() {
        let request = TestRequest::default()
            .append_header((header::COOKIE, "asession=0; session=one; b=\"x\""))
            .append_header((header::COOKIE, "session=two;last="))
            .to_http_request();
        let value = |name| cookie(&request, name).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(value("session").as_deref(), Some("one"));
        assert_eq!(value("b").as_deref(), Some("\"x\""));
        assert_eq!(value("last").as_deref(), Some(""));
        assert_eq!((value("Session"), value("none")), (None, None));
    }

    #[test]
    fn the_client_is_the_first_that_is_no_trusted_proxy() {
        let trusted: crate::http::TrustedProxies = ["10.0.0.0/8", "unix"]
            .iter()
            .map(|net| net.parse::<crate::http::TrustedProxy>().unwrap())
            .collect();
        for (peer, forwarded, client) in [
            (Some("203.0.113.5:80"), vec!["10.9.9.9"], Some("203.0.113.5")),
            (Some("10.0.0.1:80"), vec!["203.0.113.5"], Some("203.0.113.5")),
            (Some("10.0.0.1:80"), vec!["198.51.100.7, 203.0.113.5, 10.0.0.2"], Some("203.0.113.5")),
            (Some("10.0.0.1:80"), vec!["198.51.100.7", "[2001:db8::1]:4711"], Some("2001:db8::1")),
            (Some("10.0.0.1:80"), vec!["unknown"], Some("10.0.0.1")),
            (Some("10.0.0.1:80"), vec![], Some("10.0.0.1")),
            (None, vec!["203.0.113.5"], Some("203.0.113.5")),
            (None, vec![], None),
        ] {
            let mut request = TestRequest::default();
            for hops in &forwarded {
                request = request.append_header(("x-forwarded-for", *hops));
            }
            let peer = peer.map(|peer| Peer::from(peer.parse::<std::net::SocketAddr>().unwrap()));
            let found = forwarded::client(&request.to_http_request(), peer.as_ref(), &trusted);
            assert_eq!(found, client.map(|client| client.parse().unwrap()), "{peer:?} {forwarded:?}");
        }
    }
}
