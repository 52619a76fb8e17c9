//! HTTP requests and their answers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::streams::Body;

/// The parameters of [`method::HTTP`](super::method::HTTP).
///
/// A header's value is text in ISO-8859-1: each byte is the character with the same number, so that any bytes
/// that HTTP allows come through unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest<'a> {
    /// The method, as sent: `GET`.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The path below `prefix`, with its percent-encoding as sent; begins with `/`.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// What is behind the `?`, as sent; empty when there is nothing.
    #[serde(borrow, default)]
    pub query: Cow<'a, str>,
    /// What the host took off the path: `/apps/hello`.
    #[serde(borrow, default)]
    pub prefix: Cow<'a, str>,
    /// The headers, repeats kept, names in lower case. Values of one name are in the order sent; names are in any.
    #[serde(borrow, default)]
    pub headers: Vec<Header<'a>>,
    /// The client's address, `IP:port`, when it is known.
    #[serde(borrow, default)]
    pub peer: Option<Cow<'a, str>>,
    /// The request's id in logs, `X-Request-Id`.
    #[serde(borrow, default)]
    pub request_id: Cow<'a, str>,
    /// W3C trace context, as sent.
    #[serde(borrow, default)]
    pub traceparent: Option<Cow<'a, str>>,
    /// The version of HTTP that the client speaks; left out for HTTP/1.1.
    #[serde(default, skip_serializing_if = "HttpVersion::is_http11")]
    pub version: HttpVersion,
    /// Milliseconds until the host stops waiting.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// The body; `None` when there is none.
    #[serde(default)]
    pub body: Option<Body>,
}

/// A version of HTTP, as in `network.protocol.version` of OpenTelemetry.
///
/// ```
/// use atoll_plugin::protocol::HttpVersion;
/// assert_eq!(serde_json::to_string(&HttpVersion::Http2).unwrap(), r#""2""#);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.0.
    #[serde(rename = "1.0")]
    Http10,
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    Http11,
    /// HTTP/2.
    #[serde(rename = "2")]
    Http2,
}

impl HttpVersion {
    /// As it is in a message: `1.0`, `1.1` or `2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }

    /// Whether it is [`Http11`](Self::Http11).
    pub fn is_http11(&self) -> bool {
        *self == Self::Http11
    }
}

/// The result of [`method::HTTP`](super::method::HTTP). For header values see [`HttpRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpResponse<'a> {
    /// The status code, 200 to 599.
    pub status: u16,
    /// The headers, repeats kept. Values of one name are sent in this order; names in any.
    #[serde(borrow, default)]
    pub headers: Vec<Header<'a>>,
    /// The body; `None` when there is none.
    #[serde(default)]
    pub body: Option<Body>,
}

/// One header: `["content-type", "text/plain"]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header<'a>(#[serde(borrow)] pub Cow<'a, str>, #[serde(borrow)] pub Cow<'a, str>);

impl<'a> Header<'a> {
    /// A header from a name and a value's bytes as text; see [`header_text`].
    pub fn new(name: &'a str, value: &'a str) -> Self {
        Self(Cow::Borrowed(name), header_text(value.as_bytes()))
    }

    /// The same header, which borrows nothing.
    pub fn into_owned(self) -> Header<'static> {
        Header(self.0.into_owned().into(), self.1.into_owned().into())
    }

    /// The value's bytes; `None` when it has a character that no byte stands for.
    ///
    /// ```
    /// use atoll_plugin::protocol::Header;
    /// assert_eq!(Header("x".into(), "café".into()).value_bytes().as_deref(), Some(&b"caf\xe9"[..]));
    /// ```
    pub fn value_bytes(&self) -> Option<Cow<'_, [u8]>> {
        if self.1.is_ascii() {
            return Some(Cow::Borrowed(self.1.as_bytes()));
        }
        self.1.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>().map(Cow::Owned)
    }
}

/// A header value's bytes as text: the other direction of [`Header::value_bytes`].
pub fn header_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}
