//! Who may look at a host, and who may change it.
//!
//! Over the Unix socket the file's permissions say so. Over TCP on loopback, everyone can read, and change something if there is
//! no admin token. From other machines, each request takes a token: the admin token, which allows everything, or one whose scope
//! covers the request. A page of another site in the operator's browser can do neither: it is detected by `Host`, `Origin` and
//! `Sec-Fetch-Site`. Behind a proxy on another name, `--admin-origin` names the origin of the pages.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::rt::net::UnixStream;
use actix_web::{Error, HttpMessage, web};

use super::admin_token::AdminToken;
use super::failure::Failure;
use super::origin::AdminOrigin;
use super::requirement::Requirement;
use super::tokens::{Permission, Tokens, TokensError};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::authority;
use crate::observe::unix_time::now_ms;

/// The rules of one listener.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: Option<AdminToken>,
    /// Those of limited scope.
    pub(super) tokens: Tokens,
    /// Where TCP is listened on.
    pub(super) address: Option<SocketAddr>,
    /// Where its pages are, besides.
    pub(super) origins: Arc<[AdminOrigin]>,
}

/// Marks a connection over the Unix socket.
struct Owner;

/// Who sends a request that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller(Box<str>);

impl Caller {
    /// A process of this machine without a token.
    pub(super) const LOCAL: &'static str = "local";
    /// The holder of the admin token.
    pub(super) const ADMIN: &'static str = "admin";

    fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name of the token, or [`LOCAL`](Self::LOCAL), or [`ADMIN`](Self::ADMIN).
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

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
    let caller = match request.app_data::<web::Data<Access>>() {
        Some(access) if !is_owner => {
            access.check(request.method(), request.path(), request.headers()).map_err(Failure)?
        }
        _ => Caller::new(Caller::LOCAL),
    };
    request.extensions_mut().insert(caller);
    next.call(request).await
}

impl Access {
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Caller, Problem> {
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
        let is_reading = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let asked_by = if is_reading { AskedBy::OwnPageOrNone } else { self.asked_by(headers, host)? };
        // Whoever comes by a listed name or page comes from another machine, by a proxy.
        let is_local = is_loopback && !is_listed && asked_by != AskedBy::ListedPage;
        let requirement = Requirement::of(method, path);
        let is_free = match &requirement {
            Requirement::Nothing => true,
            Requirement::Token(Permission::Read, _) => is_local,
            Requirement::Token(..) => is_local && self.token.is_none(),
            Requirement::AdminToken => false,
        };
        let given = given_token(headers);
        if let (Some(given), Some(token)) = (given, &self.token)
            && token.is(given)
        {
            return Ok(Caller::new(Caller::ADMIN));
        }
        let found = match given {
            Some(given) => self.tokens.find(given).map_err(unreadable)?,
            None => None,
        };
        match (found, requirement) {
            (Some(token), Requirement::Token(permission, app))
                if !token.is_expired(now_ms()) && token.allows(permission, app.as_deref()) =>
            {
                Ok(Caller::new(&token.name))
            }
            // What everyone can read, or all without a token can do.
            (None, _) | (_, Requirement::Nothing | Requirement::Token(Permission::Read, _)) if is_free => {
                Ok(Caller::new(Caller::LOCAL))
            }
            (Some(token), _) if token.is_expired(now_ms()) => {
                let detail = format!(
                    "The token {} has expired; create another one with `atoll token create`.",
                    token.name
                );
                Err(Problem::new(ProblemKind::Unauthorized, detail))
            }
            (Some(token), requirement) => {
                let detail = format!("The token {} does not allow this: it takes {requirement}.", token.name);
                Err(Problem::new(ProblemKind::Forbidden, detail))
            }
            (None, requirement) => {
                let begin = if given.is_some() { "Unknown or revoked token" } else { "No token" };
                let detail = format!(
                    "{begin}: this takes {requirement}. Send it as Authorization: Bearer TOKEN, or as X-Atoll-Token: \
                    TOKEN; `atoll token create` on the host's machine creates one."
                );
                Err(Problem::new(ProblemKind::Unauthorized, detail))
            }
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

/// In doubt, no token is good.
fn unreadable(error: TokensError) -> Problem {
    log::error!("{error}");
    Problem::new(ProblemKind::AppError(500), "The host cannot read its tokens; see its log.")
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
    use std::path::Path;

    use actix_web::http::header::HeaderValue;

    use super::*;
    use crate::admin::tokens::Token;

    fn local() -> Access {
        let tokens = Tokens::new(None, Path::new("apps.json"));
        Access { token: None, tokens, address: None, origins: Arc::default() }
    }

    fn check(access: &Access, method: &Method, headers: &[(&'static str, &str)]) -> Result<(), u16> {
        let path = if method == Method::GET { "/api/v1/apps/shop" } else { "/api/v1/apps/shop/start" };
        check_at(access, method, path, headers).map(|_| ())
    }

    fn check_at(
        access: &Access,
        method: &Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Caller, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        access.check(method, path, &map).map_err(|problem| problem.kind().status())
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
        for (access, host, reading) in [(&local, own, Ok(())), (&public, ("host", "box.example"), Err(401))] {
            assert_eq!(check(access, &Method::GET, &[host]), reading);
            assert_eq!(check(access, &Method::POST, &[host]), Err(401));
            let token = ("authorization", "Bearer right");
            assert_eq!(check(access, &Method::GET, &[host, token]), Ok(()));
            assert_eq!(check(access, &Method::POST, &[host, token]), Ok(()));
        }
        assert_eq!(check(&local, &Method::POST, &with("Bearer wrong")), Err(401));
        assert_eq!(check(&local, &Method::POST, &with("Basic right")), Err(401));
        assert_eq!(check(&local, &Method::POST, &with("bearer right")), Ok(()));
        let beside = [own, ("authorization", "Basic of-the-proxy"), ("x-atoll-token", "right")];
        assert_eq!(check(&local, &Method::POST, &beside), Ok(()));
        assert_eq!(check(&local, &Method::POST, &[own, ("x-atoll-token", "wrong")]), Err(401));
    }

    #[test]
    fn without_a_token_nothing_is_seen_or_changed_from_other_machines() {
        let open = Access { address: public(), ..local() };
        let host = ("host", "box.example:3001");
        for method in [Method::GET, Method::POST] {
            assert_eq!(check(&open, &method, &[host]), Err(401), "{method}");
        }
        assert!(check_at(&open, &Method::GET, "/", &[host]).is_ok(), "the page that asks for the token");
    }

    #[test]
    fn a_token_of_limited_scope_allows_what_its_scope_covers() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(Some(folder.path()), Path::new("apps.json"));
        let create = |name: &str, app: &str, permission, expires_ms| {
            let token = Token {
                name: name.to_owned(),
                apps: vec![app.parse().unwrap()],
                permissions: [permission].into(),
                created_ms: 0,
                expires_ms,
            };
            format!("Bearer {}", tokens.create(token).unwrap())
        };
        let operate = create("op", "shop*", Permission::Operate, None);
        let deploy = create("ci", "shop", Permission::Deploy, Some(u64::MAX));
        let old = create("old", "shop", Permission::Operate, Some(1));
        let closed =
            Access { token: AdminToken::new("right"), tokens, address: public(), origins: Arc::default() };
        let open = Access { token: None, address: None, ..closed.clone() };
        let with = |access: &Access, method: &Method, path: &str, token: &str| {
            let headers = [("host", "localhost"), ("authorization", token)];
            check_at(access, method, path, &headers).map(|caller| caller.name().to_owned())
        };
        let (start, versions) = ("/api/v1/apps/shop/start", "/api/v1/apps/shop/versions");
        for access in [&closed, &open] {
            assert_eq!(with(access, &Method::POST, start, &operate), Ok("op".into()));
            assert_eq!(with(access, &Method::POST, versions, &deploy), Ok("ci".into()));
            assert_eq!(with(access, &Method::GET, versions, &deploy), Ok("ci".into()));
            for (path, token) in [
                (start, &deploy),
                (versions, &operate),
                ("/api/v1/apps/cart/start", &operate),
                ("/api/v1/apps/shop2/versions", &deploy),
                ("/api/v1/tokens", &operate),
            ] {
                assert_eq!(with(access, &Method::POST, path, token), Err(403), "{path} {token}");
            }
            assert_eq!(with(access, &Method::POST, start, &old), Err(401));
            assert_eq!(with(access, &Method::POST, "/api/v1/tokens", "Bearer other"), Err(401));
        }
        assert_eq!(with(&closed, &Method::GET, "/api/v1/status", &operate), Err(403), "it shows all apps");
        assert_eq!(with(&open, &Method::GET, "/api/v1/status", &operate), Ok("local".into()));
        assert_eq!(with(&closed, &Method::POST, "/api/v1/tokens", "Bearer right"), Ok("admin".into()));
        assert_eq!(with(&open, &Method::POST, "/api/v1/tokens", "Bearer right"), Err(401));
    }

    #[test]
    fn behind_a_proxy_the_listed_origin_changes_things_with_the_token() {
        let listed: AdminOrigin = "https://admin.example.com".parse().unwrap();
        let open = Access { origins: [listed].into(), ..local() };
        let closed = Access { token: AdminToken::new("right"), ..open.clone() };
        let (own, page) = (("host", "127.0.0.1:3001"), ("origin", "https://admin.example.com"));
        let (passed_on, token) = (("host", "admin.example.com"), ("x-atoll-token", "right"));
        for host in [own, passed_on] {
            assert_eq!(check(&closed, &Method::GET, &[host, token]), Ok(()));
            assert_eq!(check(&closed, &Method::POST, &[host, page, token]), Ok(()));
            assert_eq!(
                check(&closed, &Method::POST, &[host, page, token, ("sec-fetch-site", "same-origin")]),
                Ok(())
            );
            assert_eq!(check(&closed, &Method::POST, &[host, page]), Err(401));
            assert_eq!(check(&open, &Method::POST, &[host, page]), Err(401), "without a token");
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
        for method in [Method::GET, Method::POST] {
            assert_eq!(
                check(&open, &method, &[passed_on]),
                Err(401),
                "clients behind the proxy are not local"
            );
        }
        assert_eq!(check(&open, &Method::POST, &[own]), Ok(()), "the operator on the machine is");
        assert_eq!(check(&closed, &Method::GET, &[("host", "evil.example")]), Err(403));
    }

    fn public() -> Option<SocketAddr> {
        Some(([0, 0, 0, 0], 3001).into())
    }
}
