//! The fields after a body: which may be there, and how large they may be together.

use std::borrow::Cow;

use atoll_protocol::Header;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::size;

/// Why the trailers of an answer are not sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum TrailersError {
    #[error("invalid name of the trailer {0:?}")]
    Name(String),
    #[error("invalid value of the trailer `{0}`")]
    Value(HeaderName),
    #[error("the trailers have {size} bytes, more than head_limit = {limit}")]
    TooLarge { size: usize, limit: usize },
}

/// Whether a field of this name, in lower case, may be a trailer. Those are none that say where a message ends, where it
/// goes, who sends it, or how its body is to be read (RFC 9110, section 6.5.1), and none of the connection.
pub fn is_trailer(name: &str) -> bool {
    !matches!(
        name,
        "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "expect"
            | "host"
            | "keep-alive"
            | "max-forwards"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "www-authenticate"
    )
}

/// Those of a client's trailers that may be some, for the app.
pub(super) fn of_client(mut trailers: Vec<Header<'static>>) -> Vec<Header<'static>> {
    trailers.retain(|header| is_trailer(&lower_case(&header.0)));
    trailers
}

/// The trailers that an app sends: those that may be some.
///
/// # Errors
/// See [`TrailersError`].
pub(super) fn of_app(trailers: &[Header<'_>], limit: usize) -> Result<HeaderMap, TrailersError> {
    let size = size(trailers);
    if size > limit {
        return Err(TrailersError::TooLarge { size, limit });
    }
    let mut map = HeaderMap::with_capacity(trailers.len());
    for header in trailers {
        let name = HeaderName::from_bytes(header.0.as_bytes())
            .map_err(|_| TrailersError::Name(header.0.to_string()))?;
        if !is_trailer(name.as_str()) {
            continue;
        }
        let value = header.value_bytes().and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        map.append(&name, value.ok_or_else(|| TrailersError::Value(name.clone()))?);
    }
    Ok(map)
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_message_are_left_out() {
        let all = ["grpc-status", "Content-Length", "transfer-encoding", "TE", "x-late", "Host", "Trailer"];
        let trailers: Vec<Header<'_>> = all.into_iter().map(|name| Header::new(name, "1")).collect();
        let map = of_app(&trailers, 1000).unwrap();
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status", "x-late"]);
        let left = of_client(trailers);
        assert_eq!(left, [Header::new("grpc-status", "1"), Header::new("x-late", "1")]);
    }

    #[test]
    fn what_is_no_header_is_no_trailer() {
        let error = |name, value| of_app(&[Header::new(name, value)], 1000).unwrap_err();
        assert_eq!(error("a b", "1"), TrailersError::Name("a b".to_owned()));
        assert_eq!(error("x", "1\r\ny: 2"), TrailersError::Value(HeaderName::from_static("x")));
    }

    #[test]
    fn trailers_may_be_as_large_as_the_head() {
        let trailers = [Header::new("abc", "def"), Header::new("g", "")];
        assert!(of_app(&trailers, 15).is_ok());
        assert_eq!(of_app(&trailers, 14), Err(TrailersError::TooLarge { size: 15, limit: 14 }));
    }
}
