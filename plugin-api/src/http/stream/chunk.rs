//! A piece of a body.

use std::fmt;
use std::ops::Deref;

use crate::abi::Buffer;
use crate::abi::port::Port;
use crate::http::payload::Payload;

/// A chunk of a body.
///
/// ```
/// use atoll_plugin::Chunk;
///
/// assert_eq!(&*Chunk::from("text"), b"text");
/// assert_eq!(Chunk::from(vec![1, 2, 3]).len(), 3);
/// ```
#[derive(Default)]
pub struct Chunk(pub(crate) Payload);

impl Chunk {
    pub(crate) fn into_buffer(self, port: &Port) -> Option<Buffer> {
        self.0.into_buffer(port)
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Chunk {}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Payload::Vec(bytes))
    }
}

impl From<String> for Chunk {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Buffer> for Chunk {
    fn from(buffer: Buffer) -> Self {
        Self(Payload::Buffer(buffer))
    }
}

impl From<&'static str> for Chunk {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&'static [u8]> for Chunk {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Payload::Static(bytes))
    }
}
