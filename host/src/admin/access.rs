//! Who may look at a host, and who may change it.
//!
//! Over the Unix socket the file's permissions say so. Over TCP, anyone who can reach the listener can read; changes
//! require the token if there is one or the listener is reachable from other machines. A page of another site in the
//! operator's browser can do neither: it is detected by `Host`, `Origin` and `Sec-Fetch-Site`. Behind a proxy on
//! another name, the operator says which origin the pages have there.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::rt::net::UnixStream;
use actix_web::{Error, web};

use super::failure::Failure;
use super::origin::AdminOrigin;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::authority;

/// The secret that is required for changes. It is kept as its hash, and never shown.
#[derive(Clone, Copy)]
pub struct AdminToken(blake3::Hash);

impl AdminToken {
    /// That of a text; white space around it does not count. `None`: there is none.
    ///
    /// ```
    /// use atoll_host::AdminToken;
    ///
    /// let token = AdminToken::new("s3cret\n").unwrap();
    /// assert!(token.is("s3cret") && !token.is("secret"));
    /// assert!(AdminToken::new(" \n").is_none());
    /// ```
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether a text is the token, in a time that does not depend on how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        // Hashes are compared in constant time.
        self.0 == blake3::hash(text.as_bytes())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

/// The rules of one listener.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: Option<AdminToken>,
    /// Where TCP is listened on.
    pub(super) address: Option<SocketAddr>,
    /// Where its pages are, besides.
    pub(super) origins: Arc<[AdminOrigin]>,
}

/// Marks a connection over the Unix socket.
struct Owner;

/// Notes how a connection has come.
pub(super) fn prepare_connection(connection: &dyn Any, data: &mut Extensions) {
    if connection.is::<UnixStream>() {
        data.insert(Owner);
    }
}

/// Lets a request pass, or refuses it.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_owner = request.conn_data::<Owner>().is_some();
    if let (false, Some(access)) = (is_owner, request.app_data::<web::Data<Access>>()) {
        access.check(request.method(), request.headers()).map_err(Failure)?;
    }
    next.call(request).await
}

impl Access {
    fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        authority::check_hosts(headers)?;
        let is_loopback = self.address.is_none_or(|address| address.ip().is_loopback());
        let host = text(headers, &header::HOST).unwrap_or("");
        let is_listed = self.origins.iter().any(|origin| origin.is_on(host));
        if is_loopback && !names_loopback(host) && !is_listed {
            let detail = format!(
                "Unknown host name {host:?}: on a loopback address, the admin API accepts only localhost, 127.0.0.1, \
                [::1] and the names in --admin-origin."
            );
            return Err(Problem::new(ProblemKind::Forbidden, detail));
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let asked_by = self.asked_by(headers, host)?;
        // Whoever comes by a listed name or page comes from another machine, by a proxy.
        let is_local = is_loopback && !is_listed && asked_by != AskedBy::ListedPage;
        match self.token {
            None if is_local => Ok(()),
            None => Err(Problem::new(
                ProblemKind::Forbidden,
                "Changes are disabled because this admin listener is reachable from other machines and has no token. \
                Start the host with --admin-token-file, or use the atoll command on the host's machine.",
            )),
            Some(token) if given_token(headers).is_some_and(|text| token.is(text)) => Ok(()),
            Some(_) => Err(Problem::new(
                ProblemKind::Unauthorized,
                "To change something takes the admin token: Authorization: Bearer TOKEN, or X-Atoll-AdminToken: TOKEN.",
            )),
        }
    }

    /// Which page asks for a change, if one does.
    ///
    /// # Errors
    /// It is one of another site.
    fn asked_by(&self, headers: &HeaderMap, host: &str) -> Result<AskedBy, Problem> {
        let site = text(headers, &HeaderName::from_static("sec-fetch-site"));
        let is_foreign = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
        let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or(""));
        let found = match origin {
            _ if is_foreign => None,
            None => Some(AskedBy::OwnPageOrNone),
            Some(origin) if self.origins.iter().any(|listed| listed.is(origin)) => Some(AskedBy::ListedPage),
            Some(origin) => {
                let is_own = origin.split_once("://").is_some_and(|(_, origin)| origin == host);
                is_own.then_some(AskedBy::OwnPageOrNone)
            }
        };
        found.ok_or_else(|| {
            let detail = "Cross-origin request rejected. If a proxy serves the dashboard under another name, start \
                the host with --admin-origin and the origin of the pages.";
            Problem::new(ProblemKind::Forbidden, detail)
        })
    }
}

/// Who asks for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedBy {
    /// A page under the name that the request is for, or a program.
    OwnPageOrNone,
    /// A page of a listed origin.
    ListedPage,
}

/// The header for the token where a proxy in front uses `Authorization` for its own password.
const TOKEN: HeaderName = HeaderName::from_static("x-atoll-token");

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn given_token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = text(headers, &TOKEN) {
        return Some(token.trim());
    }
    let (scheme, token) = text(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether a `Host` is this machine's own name. A name of another that leads here is a page's trick.
fn names_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let Some(name) = uri.authority().map(|authority| authority.host()) else { return false };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn local() -> Access {
        Access { token: None, address: None, origins: Arc::default() }
    }

    fn check(access: &Access, method: &Method, headers: &[(&'static str, &str)]) -> Result<(), u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        access.check(method, &map).map_err(|problem| problem.kind().status())
    }

    #[test]
    fn a_page_of_another_site_can_do_nothing() {
        let own = ("host", "127.0.0.1:3001");
        for (headers, allowed) in [
            (vec![own], true),
            (vec![("host", "localhost:3001")], true),
            (vec![("host", "[::1]:3001"), ("origin", "http://[::1]:3001")], true),
            (vec![own, ("origin", "http://127.0.0.1:3001"), ("sec-fetch-site", "same-origin")], true),
            (vec![own, ("sec-fetch-site", "none")], true),
            (vec![own, ("origin", "http://127.0.0.1:3000")], false),
            (vec![own, ("origin", "null")], false),
            (vec![own, ("origin", "http://evil.example")], false),
            (vec![own, ("sec-fetch-site", "same-site")], false),
            (vec![own, ("sec-fetch-site", "cross-site")], false),
            (vec![("host", "evil.example:3001")], false),
            (vec![("host", "127.0.0.1.evil.example")], false),
            (vec![("host", "user@127.0.0.1")], false),
            (vec![], false),
        ] {
            let result = check(&local(), &Method::POST, &headers);
            let refused = |status| status == 403 || status == 400 && headers[0].1.contains('@');
            assert!(if allowed { result.is_ok() } else { result.is_err_and(refused) }, "{headers:?}");
        }
        assert_eq!(check(&local(), &Method::GET, &[("host", "evil.example")]), Err(403));
        assert_eq!(check(&local(), &Method::GET, &[own]), Ok(()));
    }

    #[test]
    fn what_changes_something_takes_the_token() {
        let own = ("host", "127.0.0.1:3001");
        let with = |authorization| [own, ("authorization", authorization)];
        let local = Access { token: AdminToken::new("right"), ..local() };
        let public = Access { address: public(), ..local.clone() };
        for (access, host) in [(&local, own), (&public, ("host", "box.example"))] {
            assert_eq!(check(access, &Method::GET, &[host]), Ok(()));
            assert_eq!(check(access, &Method::POST, &[host]), Err(401));
        }
        assert_eq!(check(&local, &Method::POST, &with("Bearer wrong")), Err(401));
        assert_eq!(check(&local, &Method::POST, &with("Basic right")), Err(401));
        assert_eq!(check(&local, &Method::POST, &with("bearer right")), Ok(()));
        let beside = [own, ("authorization", "Basic of-the-proxy"), ("x-atoll-token", "right")];
        assert_eq!(check(&local, &Method::POST, &beside), Ok(()));
        assert_eq!(check(&local, &Method::POST, &[own, ("x-atoll-token", "wrong")]), Err(401));
    }

    #[test]
    fn without_a_token_nothing_is_changed_from_other_machines() {
        let open = Access { address: public(), ..local() };
        assert_eq!(check(&open, &Method::POST, &[("host", "box.example:3001")]), Err(403));
        assert_eq!(check(&open, &Method::GET, &[("host", "box.example:3001")]), Ok(()));
    }

    #[test]
    fn behind_a_proxy_the_listed_origin_changes_things_with_the_token() {
        let listed: AdminOrigin = "https://admin.example.com".parse().unwrap();
        let open = Access { origins: [listed].into(), ..local() };
        let closed = Access { token: AdminToken::new("right"), ..open.clone() };
        let (own, page) = (("host", "127.0.0.1:3001"), ("origin", "https://admin.example.com"));
        let (passed_on, token) = (("host", "admin.example.com"), ("x-atoll-token", "right"));
        for host in [own, passed_on] {
            assert_eq!(check(&closed, &Method::GET, &[host]), Ok(()));
            assert_eq!(check(&closed, &Method::POST, &[host, page, token]), Ok(()));
            assert_eq!(
                check(&closed, &Method::POST, &[host, page, token, ("sec-fetch-site", "same-origin")]),
                Ok(())
            );
            assert_eq!(check(&closed, &Method::POST, &[host, page]), Err(401));
            assert_eq!(check(&open, &Method::POST, &[host, page]), Err(403), "without a token");
            for (header, value) in [
                ("origin", "https://evil.example"),
                ("origin", "http://admin.example.com.evil.example"),
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
            ] {
                assert_eq!(
                    check(&closed, &Method::POST, &[host, token, (header, value)]),
                    Err(403),
                    "{value}"
                );
            }
        }
        assert_eq!(
            check(&open, &Method::POST, &[passed_on]),
            Err(403),
            "clients behind the proxy are not local"
        );
        assert_eq!(check(&open, &Method::POST, &[own]), Ok(()), "the operator on the machine is");
        assert_eq!(check(&closed, &Method::GET, &[("host", "evil.example")]), Err(403));
    }

    fn public() -> Option<SocketAddr> {
        Some(([0, 0, 0, 0], 3001).into())
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", AdminToken::new("s3cret")), "Some(AdminToken(***))");
    }
}
