//! The setting `sticky`.

use schemars::{Schema, json_schema};
use serde::{Serialize, Serializer};

/// What tells the clients of an app apart while its traffic is split between versions.
///
/// ```
/// use atoll_host::config::{Settings, Sticky};
///
/// let settings = Settings { sticky: Sticky::Cookie("session".into()), ..Settings::default() };
/// assert_eq!(serde_json::to_value(&settings.sticky)?, "cookie:session");
/// # serde_json::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sticky {
    /// Their addresses.
    #[default]
    Address,
    /// The header of this name, in lower case.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
}

impl Sticky {
    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"address\", \"header:NAME\" or \"cookie:NAME\"";

    /// `None`: it is another text.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match (kind, is_token(name)) {
            ("address", _) if text == kind => Some(Self::Address),
            ("header", true) => Some(Self::Header(name.to_ascii_lowercase())),
            ("cookie", true) => Some(Self::Cookie(name.to_owned())),
            _ => None,
        }
    }
}

/// Whether a header or a cookie may have this name (RFC 9110, 5.6.2).
fn is_token(name: &str) -> bool {
    let is_char = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(is_char)
}

impl Serialize for Sticky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Address => serializer.serialize_str("address"),
            Self::Header(name) => serializer.collect_str(&format_args!("header:{name}")),
            Self::Cookie(name) => serializer.collect_str(&format_args!("cookie:{name}")),
        }
    }
}

pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": r"^(address|(header|cookie):[A-Za-z0-9!#$%&'*+.^_`|~-]+)$" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["address", "header:x-user", "cookie:Session_1"] {
            let read = Sticky::from_text(text).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), text);
        }
        for wrong in
            ["", "address:", "Address", "header:", "header:a b", "cookie:a=b", "cookie:a;b", "header"]
        {
            assert_eq!(Sticky::from_text(wrong), None, "{wrong}");
        }
    }
}
