//! Requests and responses between the port's protocol and the `http` crate.

use std::borrow::Cow;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri, Version};

use super::body::Body;
use super::header_names::HeaderNames;
use super::lent::Lent;
use crate::abi::Buffer;
use crate::http::stream::Chunk;
use crate::protocol::{Header, HttpRequest, HttpVersion, header_text};
use crate::worker::host::Host;
use atoll_protocol::Error;

/// The client's address, in a request's extensions. With the feature `axum`, the extractor `ConnectInfo<SocketAddr>` has
/// it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The request as a service takes it. What `head` borrows is part of `message`, which it shares.
pub(super) fn request(
    head: &HttpRequest<'_>,
    message: &Bytes,
    names: &mut HeaderNames,
    body: Body,
    host: Host,
) -> Result<Request<Body>, Error> {
    let target = if head.query.is_empty() {
        shared(message, head.path.clone())
    } else {
        format!("{}?{}", head.path, head.query).into()
    };
    let bad = |what: &str, text: &str| Error::bad_request(format!("{text:?} is not {what}"));
    let mut request = Request::new(body);
    *request.method_mut() =
        Method::from_bytes(head.method.as_bytes()).map_err(|_| bad("a method", &head.method))?;
    *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| bad("a path", &head.path))?;
    *request.version_mut() = match head.version {
        HttpVersion::Http10 => Version::HTTP_10,
        HttpVersion::Http11 => Version::HTTP_11,
        HttpVersion::Http2 => Version::HTTP_2,
    };
    request.headers_mut().reserve(head.headers.len());
    for header in &head.headers {
        let name = names.get(&header.0).map_err(|_| bad("a header name", &header.0))?;
        let value = header
            .value_bytes()
            .and_then(|bytes| match bytes {
                Cow::Borrowed(_) => HeaderValue::from_maybe_shared(shared(message, header.1.clone())).ok(),
                Cow::Owned(bytes) => HeaderValue::from_bytes(&bytes).ok(),
            })
            .ok_or_else(|| bad("a header value", &header.1))?;
        request.headers_mut().append(name, value);
    }
    if let Some(peer) = head.peer.as_ref().and_then(|peer| peer.parse().ok()) {
        request.extensions_mut().insert(Peer(peer));
        #[cfg(feature = "axum")]
        request.extensions_mut().insert(axum::extract::ConnectInfo::<SocketAddr>(peer));
    }
    request.extensions_mut().insert(host);
    Ok(request)
}

/// The bytes of a text; those of one that is borrowed are a part of `message`.
fn shared(message: &Bytes, text: Cow<'_, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => message.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    }
}

/// The trailers of a request as a service takes them.
pub(super) fn trailers(trailers: &[Header<'_>]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(trailers.len());
    for header in trailers {
        let name = HeaderName::from_bytes(header.0.as_bytes());
        let value = header.value_bytes().and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        let (Ok(name), Some(value)) = (name, value) else {
            return Err(format!("{:?} is not a trailer", header.0));
        };
        map.append(name, value);
    }
    Ok(map)
}

/// The headers or trailers of a response as they are sent.
pub(super) fn headers(headers: &HeaderMap) -> Vec<Header<'_>> {
    headers.iter().map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes()))).collect()
}

/// Data of a service's as a piece of a body. What was `lent` to the service is given back as it is.
pub(super) fn piece(mut data: impl Buf, lent: Option<&Lent>) -> Piece {
    let bytes = data.copy_to_bytes(data.remaining());
    match lent {
        Some(lent) => lent.take_back(bytes).map_or_else(Piece::Bytes, Piece::Buffer),
        None => Piece::Bytes(bytes),
    }
}

/// A piece of a service's body.
pub(super) enum Piece {
    Bytes(Bytes),
    Buffer(Buffer),
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Buffer(buffer) => buffer,
        }
    }
}

impl From<Piece> for Chunk {
    /// Without a copy where nothing else holds the bytes.
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Bytes(bytes) => Vec::from(bytes).into(),
            Piece::Buffer(buffer) => buffer.into(),
        }
    }
}
