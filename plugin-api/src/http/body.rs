//! Response bodies.

use std::fmt;
use std::rc::Rc;

use futures_util::stream::LocalBoxStream;
use futures_util::{Stream, StreamExt};

use crate::abi::Buffer;
use crate::http::payload::Payload;
use crate::http::request::Inner;
use crate::http::stream::{BodyStream, Chunk};
use crate::http::ws;
use atoll_protocol::Error;

/// The bytes of a response.
///
/// Create it from a vector, a string, a static slice, a [`Buffer`] of the host's, or the body of
/// a request ([`Request::into_body`](crate::Request::into_body)). None of them is copied, except a static
/// slice, which has to outlive the library.
///
/// ```
/// use atoll_plugin::Body;
///
/// assert_eq!(Body::from("text").as_bytes(), b"text");
/// assert_eq!(Body::from(vec![1, 2, 3]).len(), 3);
/// assert!(Body::default().is_empty());
/// ```
///
/// For data that is not available yet or too large for memory, use a [stream](Self::stream).
#[derive(Default)]
pub struct Body(Repr);

#[derive(Default)]
enum Repr {
    #[default]
    Empty,
    Owned(Payload),
    /// A request's body stays where it is until the request's other holders are gone, and is then moved out.
    Request(Rc<Inner>),
    Stream(ChunkStream),
    WebSocket(ws::Serve),
}

pub(crate) type ChunkStream = LocalBoxStream<'static, Result<Chunk, Error>>;

/// What is to be sent.
pub(crate) enum Content {
    Whole(Payload),
    Stream(ChunkStream),
    WebSocket(ws::Serve),
}

impl Body {
    /// A body that is sent chunk by chunk, as fast as the client reads it. An error aborts it: the client sees that it
    /// is incomplete.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    /// use futures_util::stream;
    ///
    /// let lines = stream::iter(0..1000).map(|n| Ok::<_, Error>(format!("line {n}\n")));
    /// # use futures_util::StreamExt;
    /// let response = Response::bytes(Body::stream(lines)).content_type("text/plain");
    /// ```
    pub fn stream<C: Into<Chunk>, E: Into<Error>>(
        chunks: impl Stream<Item = Result<C, E>> + 'static,
    ) -> Self {
        Self(Repr::Stream(chunks.map(|chunk| chunk.map(C::into).map_err(E::into)).boxed_local()))
    }

    pub(crate) fn websocket(serve: ws::Serve) -> Self {
        Self(Repr::WebSocket(serve))
    }

    /// Collects a stream; returns other bodies immediately.
    ///
    /// # Errors
    /// The stream's.
    pub async fn collect(self) -> Result<Vec<u8>, Error> {
        match self.into_content() {
            Content::Whole(Payload::Vec(bytes)) => Ok(bytes),
            Content::Whole(payload) => Ok(payload.as_bytes().to_vec()),
            Content::Stream(mut chunks) => {
                let mut all = Vec::new();
                while let Some(chunk) = chunks.next().await {
                    all.extend_from_slice(&chunk?);
                }
                Ok(all)
            }
            Content::WebSocket(_) => Ok(Vec::new()),
        }
    }

    /// The bytes; empty for a stream.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Empty | Repr::Stream(_) | Repr::WebSocket(_) => &[],
            Repr::Owned(payload) => payload.as_bytes(),
            Repr::Request(request) => request.body().as_bytes(),
        }
    }

    /// The number of bytes; 0 for a stream.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    pub(crate) fn of_request(request: Rc<Inner>) -> Self {
        Self(Repr::Request(request))
    }

    /// Moves the bytes out; copies them only when it is a request's body and the request is still held.
    pub(crate) fn into_content(self) -> Content {
        match self.0 {
            Repr::Empty => Content::Whole(Payload::Empty),
            Repr::Owned(payload) => Content::Whole(payload),
            Repr::Request(request) => Content::Whole(match Rc::try_unwrap(request) {
                Ok(inner) => inner.into_body(),
                Err(shared) => Payload::Vec(shared.body().as_bytes().to_vec()),
            }),
            Repr::Stream(chunks) => Content::Stream(chunks),
            Repr::WebSocket(serve) => Content::WebSocket(serve),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Stream(_) => f.write_str("Body(stream)"),
            Repr::WebSocket(_) => f.write_str("Body(WebSocket)"),
            _ => write!(f, "Body({} bytes)", self.len()),
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(Payload::Vec(bytes)))
    }
}

impl From<Chunk> for Body {
    fn from(chunk: Chunk) -> Self {
        Self(Repr::Owned(chunk.0))
    }
}

impl From<BodyStream> for Body {
    fn from(stream: BodyStream) -> Self {
        Self::stream(stream)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Buffer> for Body {
    fn from(buffer: Buffer) -> Self {
        Self(Repr::Owned(Payload::Buffer(buffer)))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Repr::Owned(Payload::Static(bytes)))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::default()
    }
}
