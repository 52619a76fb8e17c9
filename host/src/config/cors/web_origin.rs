//! What the origin of a page is, as browsers send it in `Origin` (RFC 6454, section 6.2).

/// The origins that [`is_web_origin`] accepts.
pub(super) const WEB_ORIGIN: &str = concat!(
    r"^(?![Hh][Tt][Tt][Pp]://.*:80$)(?![Hh][Tt][Tt][Pp][Ss]://.*:443$)",
    r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[1-9][0-9]{0,4})?$",
);

/// Whether this is an origin: a scheme, a host and, if it is not the scheme's own, a port.
pub(super) fn is_web_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = split_port(authority);
    is_scheme(scheme) && is_host(host) && port.is_none_or(|port| is_port(port) && !is_default(scheme, port))
}

/// The origin that may be meant by a text that is none: a host without a scheme, or a URL with a path.
pub(super) fn meant(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = split_port(authority);
    let meant = match port {
        Some(port) if !is_default(scheme, port) => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    };
    is_web_origin(&meant).then_some(meant)
}

/// A colon within brackets is the address's.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'.' | b'-'))
}

fn is_host(host: &str) -> bool {
    let is_address = |address: &str| {
        (2..=45).contains(&address.len())
            && address.bytes().all(|c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.'))
    };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => is_address(address),
        None => {
            (1..=253).contains(&host.len())
                && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        }
    }
}

fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len()) && !port.starts_with('0') && port.bytes().all(|c| c.is_ascii_digit())
}

/// Browsers leave the scheme's own port out.
fn is_default(scheme: &str, port: &str) -> bool {
    (scheme.eq_ignore_ascii_case("http") && port == "80")
        || (scheme.eq_ignore_ascii_case("https") && port == "443")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for good in [
            "https://app.example.com",
            "http://localhost:8080",
            "HTTPS://App.Example.com",
            "http://127.0.0.1",
            "http://[::1]:3000",
            "http://[::1]",
            "https://a:80",
            "http://a:443",
            "capacitor://localhost",
            "moz-extension://d9a5-1b",
        ] {
            assert!(is_web_origin(good), "{good}");
        }
    }

    #[test]
    fn what_is_none_may_mean_one() {
        for (bad, origin) in [
            ("app.example.com", Some("https://app.example.com")),
            ("localhost:8080", Some("https://localhost:8080")),
            ("https://app.example.com/", Some("https://app.example.com")),
            ("https://app.example.com/page?x#y", Some("https://app.example.com")),
            ("https://app.example.com:443", Some("https://app.example.com")),
            ("http://app.example.com:80/", Some("http://app.example.com")),
            ("https://*.example.com", None),
            ("https://ä.example", None),
            ("https://", None),
            ("https://a:0", None),
            ("https://a b", None),
            ("", None),
            ("*", None),
        ] {
            assert!(!is_web_origin(bad), "{bad}");
            assert_eq!(meant(bad).as_deref(), origin, "{bad}");
        }
    }
}
