//! Header names and values: what may be sent, and how values read as text.

use std::borrow::Cow;

use crate::protocol::{Header, header_text};
use atoll_protocol::Error;

/// A header as the protocol writes it, or why it must not be sent.
///
/// A line break in a value would let its author inject headers.
pub(crate) fn checked(name: &str, value: &str) -> Result<Header<'static>, Error> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Error::new(500, format!("invalid header name {name:?}")));
    }
    if let Some(bad) = value.chars().find(|&c| c.is_ascii_control() && c != '\t') {
        return Err(Error::new(500, format!("invalid value of the header {name}: it contains {bad:?}")));
    }
    let name = name.to_ascii_lowercase();
    Ok(Header(name.into(), header_text(value.as_bytes()).into_owned().into()))
}

/// The first header of this name, in any case.
pub(crate) fn find<'h, 'a>(headers: &'h [Header<'a>], name: &str) -> Option<&'h Header<'a>> {
    headers.iter().find(|header| header.0.eq_ignore_ascii_case(name))
}

/// A value as people read it: UTF-8 when it is that, and otherwise ISO-8859-1, which the protocol's text is.
pub(crate) fn value_text<'h>(header: &'h Header<'_>) -> Cow<'h, str> {
    if header.1.is_ascii() {
        return Cow::Borrowed(&header.1);
    }
    let utf8 = header.value_bytes().and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
    utf8.map_or(Cow::Borrowed(&header.1), Cow::Owned)
}

/// `tchar` of RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_end_its_line_is_refused() {
        for value in ["a\r\nset-cookie: b", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
            assert_eq!(checked("x", value).unwrap_err().status(), 500, "{value:?}");
        }
        assert!(checked("x", "a\tb").is_ok());
        assert!(checked("x", "").is_ok());
    }

    #[test]
    fn a_name_is_a_token() {
        for name in ["", "a b", "a:", "é", "a\n"] {
            assert!(checked(name, "v").is_err(), "{name:?}");
        }
        assert_eq!(checked("X-Name_1", "v").unwrap(), Header("x-name_1".into(), "v".into()));
    }

    #[test]
    fn text_beyond_ascii_is_sent_as_utf8_and_read_back() {
        let header = checked("x", "café").unwrap();
        assert_eq!(header.1, "caf\u{c3}\u{a9}");
        assert_eq!(header.value_bytes().as_deref(), Some("café".as_bytes()));
        assert_eq!(value_text(&header), "café");

        let latin = Header("x".into(), "caf\u{e9}".into());
        assert_eq!(value_text(&latin), "café");
    }
}
