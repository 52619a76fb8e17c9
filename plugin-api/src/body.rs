//! The bytes of a response, in whatever they came.

use std::fmt;
use std::rc::Rc;

use crate::abi::Buffer;
use crate::port::Port;
use crate::request::Inner;

/// The bytes of a response.
///
/// It is made of what an app has: a vector, a text, a static slice, a [`Buffer`] of the host's, or the body of
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
#[derive(Default)]
pub struct Body(Repr);

#[derive(Default)]
enum Repr {
    #[default]
    Empty,
    Owned(Payload),
    /// A request's body stays where it is until the request's other holders are gone, and is then moved out.
    Request(Rc<Inner>),
}

/// Where the bytes of a body are.
#[derive(Debug, Default)]
pub(crate) enum Payload {
    #[default]
    Empty,
    Vec(Vec<u8>),
    Buffer(Buffer),
    Static(&'static [u8]),
}

impl Body {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::Owned(payload) => payload.as_bytes(),
            Repr::Request(request) => request.body().as_bytes(),
        }
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    pub(crate) fn of_request(request: Rc<Inner>) -> Self {
        Self(Repr::Request(request))
    }

    /// Moves the bytes out; copies them only when it is a request's body and the request is still held.
    pub(crate) fn into_payload(self) -> Payload {
        match self.0 {
            Repr::Empty => Payload::Empty,
            Repr::Owned(payload) => payload,
            Repr::Request(request) => match Rc::try_unwrap(request) {
                Ok(inner) => inner.into_body(),
                Err(shared) => Payload::Vec(shared.body().as_bytes().to_vec()),
            },
        }
    }
}

impl Payload {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Vec(bytes) => bytes,
            Self::Buffer(buffer) => buffer,
            Self::Static(bytes) => bytes,
        }
    }

    /// The bytes as a buffer to be sent; `None` when there are none.
    pub(crate) fn into_buffer(self, port: &Port) -> Option<Buffer> {
        match self {
            _ if self.as_bytes().is_empty() => None,
            Self::Empty => None,
            Self::Vec(bytes) => Some(port.buffer(bytes)),
            Self::Buffer(buffer) => Some(buffer),
            Self::Static(bytes) => Some(port.copy(bytes)),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(Payload::Vec(bytes)))
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
