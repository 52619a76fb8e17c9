//! Who may look at a host, and who may change it.
//!
//! Over the Unix socket the file's permissions say so. Over TCP, whoever reaches the listener may look; to change
//! something takes the token, where there is one or the listener is reached from other machines. A page of another site
//! in the operator's browser can do neither: it is told apart by `Host`, `Origin` and `Sec-Fetch-Site`.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::rt::net::UnixStream;
use actix_web::{Error, web};

use super::failure::Failure;
use crate::problem::{Kind, Problem};

/// The secret that whoever changes something has to know. It is kept as its hash, and never shown.
#[derive(Clone, Copy)]
pub struct Token(blake3::Hash);

impl Token {
    /// That of a text; white space around it does not count. `None`: there is none.
    ///
    /// ```
    /// use atoll_host::admin::Token;
    ///
    /// let token = Token::new("s3cret\n").unwrap();
    /// assert!(token.is("s3cret") && !token.is("secret"));
    /// assert!(Token::new(" \n").is_none());
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

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// The rules of one listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) token: Option<Token>,
    /// Where TCP is listened on.
    pub(super) address: Option<SocketAddr>,
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
    let access = request.app_data::<web::Data<Access>>().map(|access| ***access);
    if let (false, Some(access)) = (is_owner, access) {
        access.check(request.method(), request.headers()).map_err(Failure)?;
    }
    next.call(request).await
}

impl Access {
    fn check(self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let is_local = self.address.is_none_or(|address| address.ip().is_loopback());
        let host = text(headers, &header::HOST).unwrap_or("");
        if is_local && !names_loopback(host) {
            let detail = format!(
                "This is not the host {host:?}: the admin listener on loopback answers to localhost, 127.0.0.1 and [::1] only."
            );
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        if !is_same_site(headers, host) {
            let detail = "A page of another site asked for this change.";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        match self.token {
            None if is_local => Ok(()),
            None => Err(Problem::new(
                Kind::Forbidden,
                "This admin listener is reached from other machines and has no token, so nothing can be changed here. \
                 Start the host with --admin-token-file, or use the command on the host's own machine.",
            )),
            Some(token) if bearer(headers).is_some_and(|text| token.is(text)) => Ok(()),
            Some(_) => Err(Problem::new(
                Kind::Unauthorized,
                "To change something takes the admin token: Authorization: Bearer TOKEN.",
            )),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
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

/// Whether a request is a page's of this listener, or no page's.
fn is_same_site(headers: &HeaderMap, host: &str) -> bool {
    let site = HeaderName::from_static("sec-fetch-site");
    let is_foreign = text(headers, &site).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or(""));
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, origin)| origin == host);
    !is_foreign && origin.is_none_or(is_own)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const LOCAL: Access = Access { token: None, address: None };

    fn check(access: Access, method: &Method, headers: &[(&'static str, &str)]) -> Result<(), u16> {
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
            (vec![("host", "user@127.0.0.1")], true),
            (vec![], false),
        ] {
            let result = check(LOCAL, &Method::POST, &headers);
            assert_eq!(result, if allowed { Ok(()) } else { Err(403) }, "{headers:?}");
        }
        assert_eq!(check(LOCAL, &Method::GET, &[("host", "evil.example")]), Err(403));
        assert_eq!(check(LOCAL, &Method::GET, &[own]), Ok(()));
    }

    #[test]
    fn what_changes_something_takes_the_token() {
        let own = ("host", "127.0.0.1:3001");
        let with = |authorization| [own, ("authorization", authorization)];
        let local = Access { token: Token::new("right"), ..LOCAL };
        for (access, host) in [(local, own), (Access { address: public(), ..local }, ("host", "box.example"))]
        {
            assert_eq!(check(access, &Method::GET, &[host]), Ok(()));
            assert_eq!(check(access, &Method::POST, &[host]), Err(401));
        }
        assert_eq!(check(local, &Method::POST, &with("Bearer wrong")), Err(401));
        assert_eq!(check(local, &Method::POST, &with("Basic right")), Err(401));
        assert_eq!(check(local, &Method::POST, &with("bearer right")), Ok(()));
    }

    #[test]
    fn without_a_token_nothing_is_changed_from_other_machines() {
        let open = Access { address: public(), ..LOCAL };
        assert_eq!(check(open, &Method::POST, &[("host", "box.example:3001")]), Err(403));
        assert_eq!(check(open, &Method::GET, &[("host", "box.example:3001")]), Ok(()));
    }

    fn public() -> Option<SocketAddr> {
        Some(([0, 0, 0, 0], 3001).into())
    }

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", Token::new("s3cret")), "Some(Token(***))");
    }
}
