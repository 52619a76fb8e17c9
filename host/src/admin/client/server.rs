//! The admin API of a host on another machine: where it is, and the token for it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::HeaderValue;

/// The admin API of a host, by its URL, such as `https://apps.example.com:3001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminServer {
    url: Uri,
    token: Option<HeaderValue>,
}

/// A text is no URL of an admin API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAdminServer {
    /// It is no URL.
    #[error("invalid server {0:?}: expected a URL such as https://apps.example.com:3001")]
    Url(String),
    /// A token would travel readable for everyone on the way.
    #[error("{0} has no TLS: use https://; http:// is for the addresses of this machine alone")]
    Cleartext(String),
    /// A token is no text that a header can have.
    #[error("invalid token: expected one line of visible ASCII characters")]
    Token,
}

impl FromStr for AdminServer {
    type Err = NoAdminServer;

    /// ```
    /// use atoll_host::internal::admin::AdminServer;
    ///
    /// assert!("https://apps.example.com:3001/admin/".parse::<AdminServer>().is_ok());
    /// assert!("http://[::1]:3001".parse::<AdminServer>().is_ok());
    /// assert!("http://apps.example.com".parse::<AdminServer>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, NoAdminServer> {
        let no_url = || NoAdminServer::Url(text.to_owned());
        let url: Uri = text.parse().map_err(|_| no_url())?;
        let host = url.host().ok_or_else(no_url)?;
        let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        match url.scheme_str() {
            _ if has_user || url.query().is_some() => Err(no_url()),
            Some("https") => Ok(Self { url, token: None }),
            Some("http") if is_loopback(host) => Ok(Self { url, token: None }),
            Some("http") => Err(NoAdminServer::Cleartext(text.to_owned())),
            _ => Err(no_url()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

impl AdminServer {
    /// With the token for it.
    ///
    /// # Errors
    /// [`NoAdminServer::Token`].
    pub fn with_token(self, token: &str) -> Result<Self, NoAdminServer> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| NoAdminServer::Token)?;
        value.set_sensitive(true);
        Ok(Self { token: Some(value), ..self })
    }

    pub(super) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    /// Its name or address, without the brackets of IPv6.
    pub(super) fn name(&self) -> &str {
        self.url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// As the header `Host` has it.
    pub(super) fn authority(&self) -> &str {
        self.url.authority().map_or("", |authority| authority.as_str())
    }

    /// The path below which the API is.
    pub(super) fn base_path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

impl fmt::Display for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url_with_tls_or_on_this_machine() {
        for (text, name, port, base) in [
            ("https://a.example", "a.example", 443, ""),
            ("https://a.example:3001/admin/", "a.example", 3001, "/admin"),
            ("http://127.0.0.1:3001/", "127.0.0.1", 3001, ""),
            ("http://[::1]", "::1", 80, ""),
            ("http://localhost:1", "localhost", 1, ""),
        ] {
            let server: AdminServer = text.parse().unwrap();
            assert_eq!((server.name(), server.port(), server.base_path()), (name, port, base), "{text}");
        }
        for text in
            ["", "a.example", "ftp://a.example", "https://u:p@a.example", "https://a.example/?x", "/x"]
        {
            assert!(matches!(text.parse::<AdminServer>(), Err(NoAdminServer::Url(_))), "{text}");
        }
        for text in ["http://a.example", "http://10.0.0.1", "http://localhost.example"] {
            assert!(matches!(text.parse::<AdminServer>(), Err(NoAdminServer::Cleartext(_))), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_shown() {
        let server: AdminServer = "https://a.example".parse().unwrap();
        let shown = format!("{:?}", server.clone().with_token("s3cret").unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(server.with_token("two\nlines"), Err(NoAdminServer::Token));
    }
}
