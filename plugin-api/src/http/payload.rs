//! The bytes of a body, wherever they are.

use crate::abi::Buffer;
use crate::abi::port::Port;

/// Where the bytes of a body are.
#[derive(Debug, Default)]
pub(crate) enum Payload {
    #[default]
    Empty,
    Vec(Vec<u8>),
    Buffer(Buffer),
    Static(&'static [u8]),
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
