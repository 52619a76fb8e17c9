//! Where a server listens, as operators write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address without one.
const DEFAULT_PORT: u16 = 3000;

/// Who may connect to a Unix socket unless the address has another mode: the user of the host.
const DEFAULT_MODE: u32 = 0o600;

/// Where a server listens.
///
/// ```
/// use atoll_host::ListenAddress;
///
/// let address: ListenAddress = "unix:/run/atoll/http.sock,mode=660".parse()?;
/// assert_eq!(address, ListenAddress::Unix { path: "/run/atoll/http.sock".into(), mode: 0o660 });
/// let address: ListenAddress = ":3000".parse()?;
/// assert_eq!(address, ListenAddress::Tcp { host: None, port: 3000 });
/// # Ok::<_, atoll_host::NoListenAddress>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port.
    Tcp {
        /// An IP address, or a name that stands for some; all interfaces of the machine without it.
        host: Option<String>,
        /// The port; 0 is one that is free.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permissions, as `chmod` has them: clients need to be able to write.
        mode: u32,
    },
    /// The sockets of this name that the service manager passes.
    Passed(String),
}

/// A text is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address such as 127.0.0.1:3000, localhost:3000, :3000 (all interfaces), unix:/run/atoll.sock, \
     unix:/run/atoll.sock,mode=660 or fd:NAME"
)]
pub struct NoListenAddress;

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        if let Some(rest) = text.strip_prefix("unix:") {
            return unix(rest).ok_or(NoListenAddress);
        }
        if let Some(name) = text.strip_prefix("fd:") {
            return if name.is_empty() { Err(NoListenAddress) } else { Ok(Self::Passed(name.to_owned())) };
        }
        tcp(text).ok_or(NoListenAddress)
    }
}

fn unix(text: &str) -> Option<ListenAddress> {
    let (path, mode) = match text.rsplit_once(",mode=") {
        Some((path, mode)) => (path, u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)?),
        None => (text, DEFAULT_MODE),
    };
    (!path.is_empty() && !path.ends_with('/')).then(|| ListenAddress::Unix { path: path.into(), mode })
}

fn tcp(text: &str) -> Option<ListenAddress> {
    if let Ok(port) = text.parse() {
        return Some(ListenAddress::Tcp { host: None, port });
    }
    // An IPv6 address has brackets where a port follows.
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
        None if text.matches(':').count() > 1 => (text, None),
        None => text.find(':').map_or((text, None), |colon| (&text[..colon], Some(&text[colon..]))),
    };
    let port = match port {
        Some(port) => port.strip_prefix(':')?.parse().ok()?,
        None => DEFAULT_PORT,
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if !host.chars().all(is_host) || (host.is_empty() && !text.starts_with(':')) {
        return None;
    }
    Some(ListenAddress::Tcp { host: (!host.is_empty()).then(|| host.to_owned()), port })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: None, port } => write!(f, ":{port}"),
            Self::Tcp { host: Some(host), port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host: Some(host), port } => write!(f, "{host}:{port}"),
            Self::Unix { path, mode } => write!(f, "unix:{},mode={mode:o}", path.display()),
            Self::Passed(name) => write!(f, "fd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        let tcp = |host: &str, port| ListenAddress::Tcp { host: Some(host.to_owned()), port };
        let all = |port| ListenAddress::Tcp { host: None, port };
        for (text, address, shown) in [
            ("3000", all(3000), ":3000"),
            (":3000", all(3000), ":3000"),
            ("0", all(0), ":0"),
            ("localhost", tcp("localhost", 3000), "localhost:3000"),
            ("localhost:80", tcp("localhost", 80), "localhost:80"),
            ("127.0.0.1", tcp("127.0.0.1", 3000), "127.0.0.1:3000"),
            ("127.0.0.1:80", tcp("127.0.0.1", 80), "127.0.0.1:80"),
            ("::1", tcp("::1", 3000), "[::1]:3000"),
            ("[::1]", tcp("::1", 3000), "[::1]:3000"),
            ("[::1]:80", tcp("::1", 80), "[::1]:80"),
            ("[fe80::1%eth0]:80", tcp("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
            (
                "unix:/run/a.sock",
                ListenAddress::Unix { path: "/run/a.sock".into(), mode: 0o600 },
                "unix:/run/a.sock,mode=600",
            ),
            (
                "unix:a,b,mode=0666",
                ListenAddress::Unix { path: "a,b".into(), mode: 0o666 },
                "unix:a,b,mode=666",
            ),
            ("fd:web", ListenAddress::Passed("web".to_owned()), "fd:web"),
        ] {
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address), "{shown}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "[]",
            "[]:80",
            "[::1",
            "[::1]80",
            "localhost:",
            "localhost:http",
            "localhost:70000",
            "http://a",
            "a b",
            "unix:",
            "unix:/",
            "unix:/run/",
            "unix:/a,mode=9",
            "unix:/a,mode=1777",
            "unix:,mode=600",
            "fd:",
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(NoListenAddress), "{text}");
        }
    }
}
