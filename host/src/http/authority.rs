//! What a client calls this host: the header `Host` (RFC 9112, section 3.2) or the authority of the target.
//!
//! Routes by host, an app's links and the log rely on it, so what is no host by RFC 3986 goes no further.

use std::net::Ipv6Addr;

use actix_web::HttpRequest;
use actix_web::http::Version;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::dispatch::problem::{Problem, ProblemKind};

/// Whether the request names this host in a way that has a meaning.
///
/// # Errors
/// The target's authority or a `Host` is not `host[:port]`, there are several `Host` headers, or, in HTTP/2, the two
/// differ.
pub(super) fn check(request: &HttpRequest) -> Result<(), Problem> {
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    if let Some(target) = target
        && (!is_host_and_port(target) || target.starts_with(b":") || target.is_empty())
    {
        return Err(no_host("The authority of the request target", target));
    }
    let host = check_hosts(request.headers())?;
    if request.version() == Version::HTTP_2
        && let (Some(target), Some(host)) = (target, host)
        && !target.eq_ignore_ascii_case(host)
    {
        return Err(Problem::new(ProblemKind::BadRequest, "`Host` and `:authority` differ."));
    }
    Ok(())
}

/// Checks what passes as a `Host`: what no host has, a proxy, a log or a link could take for something else.
#[cfg(feature = "fuzzing")]
pub(super) fn check_soundness(host: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(host) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, value);
    let Ok(Some(accepted)) = check_hosts(&headers) else { return };
    assert_eq!(accepted, host);
    assert!(accepted.iter().all(|byte| byte.is_ascii_graphic() && !b"/\\@?#<>\"{}|^`".contains(byte)));
    if let Some((_, port)) =
        accepted.iter().rposition(|byte| *byte == b':').map(|at| accepted.split_at(at + 1))
        && !accepted.ends_with(b"]")
        && !port.is_empty()
    {
        let port = std::str::from_utf8(port).expect("it is ASCII");
        assert!(port.parse::<u16>().is_ok(), "{port}");
    }
}

/// The value of `Host`, if there is one.
///
/// # Errors
/// It is no host, or there are several.
pub(crate) fn check_hosts(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut hosts = headers.get_all(header::HOST).map(HeaderValue::as_bytes);
    let Some(host) = hosts.next() else { return Ok(None) };
    // An empty one is sent for a target that has no authority.
    if !host.is_empty() && (!is_host_and_port(host) || host.starts_with(b":")) {
        return Err(no_host("`Host`", host));
    }
    if hosts.next().is_some() {
        return Err(Problem::new(ProblemKind::BadRequest, "The request has more than one `Host` header."));
    }
    Ok(Some(host))
}

fn no_host(what: &str, value: &[u8]) -> Problem {
    let value = value.escape_ascii();
    Problem::new(
        ProblemKind::BadRequest,
        format!("{what} is \"{value}\"; expected a host name or address with an optional port."),
    )
}

/// Whether a text is `uri-host [ ":" port ]` (RFC 3986, section 3.2), with a port that exists.
fn is_host_and_port(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
        let (literal, rest) = (&rest[..end], &rest[end + 1..]);
        return is_ip_literal(literal) && (rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port));
    }
    match text.iter().position(|&byte| byte == b':') {
        Some(colon) => is_name(&text[..colon]) && is_port(&text[colon + 1..]),
        None => is_name(text),
    }
}

/// `reg-name`, which a dotted IPv4 address is as well.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (byte, after) if is_unreserved_or_delimiter(*byte) => after,
            _ => return false,
        };
    }
    true
}

fn is_unreserved_or_delimiter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// What stands in brackets: an IPv6 address without a zone, or an address of a version to come.
fn is_ip_literal(literal: &[u8]) -> bool {
    let Ok(literal) = std::str::from_utf8(literal) else { return false };
    if let Some(future) = literal.strip_prefix(['v', 'V']) {
        return future.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !address.is_empty()
                && address.bytes().all(|byte| byte == b':' || is_unreserved_or_delimiter(byte))
        });
    }
    literal.parse::<Ipv6Addr>().is_ok()
}

/// A number that fits, with zeros in front of it or not; it may be left out after its colon.
fn is_port(port: &[u8]) -> bool {
    let number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    port.is_empty() || std::str::from_utf8(port).is_ok_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_and_ports() {
        for host in [
            "localhost",
            "a",
            "A.Example.",
            "a_b-c.example:80",
            "127.0.0.1:65535",
            "a:",
            "a:0080",
            "[::1]",
            "[::ffff:1.2.3.4]:80",
            "[v1.a:b]",
            "a%20b",
            "a!$&'()*+,;=~",
            "xn--bcher-kva.example",
        ] {
            assert!(is_host_and_port(host.as_bytes()), "{host}");
        }
        for host in [
            "a b",
            "a/b",
            "a@b",
            "a:b@c",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]80",
            "[]",
            "[g::]",
            "[1.2.3.4]",
            "a]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v1.]",
            "[v.a]",
            "a:99999",
            "a:65536",
            "a:-1",
            "a:+80",
            "a:80:80",
            "a:x",
            "a%2",
            "a%zz",
            "a%",
            "a\\b",
            "a?b",
            "a#b",
            "a\"b",
            "<a>",
            "{a}",
            "a|b",
            "a^b",
            "a`b",
            "a\tb",
            " a",
            "a\u{7f}",
            "é",
            "http://a",
        ] {
            assert!(!is_host_and_port(host.as_bytes()), "{host}");
        }
        assert!(!is_host_and_port(b"caf\xe9"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if is_host_and_port(&bytes) {
                prop_assert!(bytes.is_ascii() && !bytes.iter().any(|byte| b" /@\\?#<>\"".contains(byte)));
            }
        }
    }
}
