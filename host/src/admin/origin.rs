//! Where the admin listener's pages are, when a proxy in front has another name.

use std::fmt;
use std::str::FromStr;

use actix_web::http::Uri;

/// The origin of the admin listener's pages as browsers see it, such as `https://admin.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminOrigin {
    /// `http` or `https`.
    scheme: String,
    /// The host in lower case, with its port if that is not the scheme's own.
    host: String,
}

/// A text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid origin {0:?}: expected an origin such as https://admin.example.com, without a path")]
pub struct NoOrigin(String);

impl FromStr for AdminOrigin {
    type Err = NoOrigin;

    /// ```
    /// use atoll_host::AdminOrigin;
    ///
    /// assert_eq!("https://Box.example:443/".parse::<AdminOrigin>().unwrap().to_string(), "https://box.example");
    /// assert!("box.example".parse::<AdminOrigin>().is_err() && "https://a/b".parse::<AdminOrigin>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let no_origin = || NoOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| no_origin())?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else { return Err(no_origin()) };
        if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            return Err(no_origin());
        }
        Ok(Self { scheme: scheme.to_owned(), host: without_port_of(scheme, authority.as_str()) })
    }
}

impl AdminOrigin {
    /// Whether a request's `Host` is that of this origin.
    pub(super) fn is_on(&self, host: &str) -> bool {
        without_port_of(&self.scheme, host) == self.host
    }

    /// Whether a request's `Origin` is this one.
    pub(super) fn is(&self, origin: &str) -> bool {
        origin.parse().is_ok_and(|origin: Self| origin == *self)
    }
}

impl fmt::Display for AdminOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

fn without_port_of(scheme: &str, host: &str) -> String {
    let port = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase()
}
