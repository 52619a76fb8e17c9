//! What one message of NATS contains.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the version of this form: 1 |
//! | 1 | the [kind](Kind) |
//! | 1 | flags: 1, more of the same message follows; 2, the last message of the exchange |
//! | 8 | the [instance](Instance) that has sent it |
//! | 4, 8 | the [exchange](ExchangeId): the number of a port, and that of a request |
//! | 4 | the number of the frame in its direction, from 0 |
//! | 4, 4 | how long the message's context and its text are, in its first frame; else 0 |
//! | rest | a part of the message, which is its context, its text and its buffer |
//!
//! Numbers are unsigned, the most significant byte first.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version of the form.
const VERSION: u8 = 1;

/// How many bytes come before the parts of a message.
pub(crate) const HEADER: usize = 35;

const MORE: u8 = 1;
const LAST: u8 = 2;

/// What tells a host in one connection to NATS from all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Instance(pub(crate) u64);

impl Instance {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(fastrand::u64(..))
    }

    /// The one that is shown as this text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which request of the instance that asks it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeId {
    /// The port, which is that of an app.
    pub(crate) port: u32,
    /// The number of the request on it.
    pub(crate) request: u64,
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asks an instance that has an app.
    Request = 1,
    /// A message of the instance that asks, to the one that has its request.
    ToServer = 2,
    /// A message to the instance that asks.
    ToCaller = 3,
    /// The instance has the request.
    Taken = 4,
    /// The instance does not take the request.
    NotTaken = 5,
    /// The exchange ends with a problem, which is the text.
    Refused = 6,
    /// Is the instance there?
    Ping = 7,
    /// It is.
    Pong = 8,
    /// The exchange has ended for the instance that asks.
    Cancelled = 9,
    /// The instance takes no more requests.
    Leaving = 10,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        const ALL: [Kind; 10] = [
            Kind::Request,
            Kind::ToServer,
            Kind::ToCaller,
            Kind::Taken,
            Kind::NotTaken,
            Kind::Refused,
            Kind::Ping,
            Kind::Pong,
            Kind::Cancelled,
            Kind::Leaving,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What one message of NATS contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// More of the same message follows.
    pub(crate) more: bool,
    /// It is of the last message of the exchange.
    pub(crate) last: bool,
    pub(crate) sender: Instance,
    pub(crate) exchange: ExchangeId,
    pub(crate) number: u32,
    pub(crate) context_length: u32,
    pub(crate) text_length: u32,
    pub(crate) content: Bytes,
}

/// Why something is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// It ends within the header.
    #[error("a message of {0} bytes, which is shorter than a header of {HEADER}")]
    Short(usize),
    /// It is of another version of Atoll.
    #[error("the version {0} of the form; expected {VERSION}")]
    Version(u8),
    /// There is no such kind.
    #[error("the unknown kind {0}")]
    Kind(u8),
}

impl Frame {
    /// The frame in a message of NATS.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Self, FrameError> {
        if bytes.len() < HEADER {
            return Err(FrameError::Short(bytes.len()));
        }
        let version = bytes.get_u8();
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = bytes.get_u8();
        let kind = Kind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        let flags = bytes.get_u8();
        Ok(Self {
            kind,
            more: flags & MORE != 0,
            last: flags & LAST != 0,
            sender: Instance(bytes.get_u64()),
            exchange: ExchangeId { port: bytes.get_u32(), request: bytes.get_u64() },
            number: bytes.get_u32(),
            context_length: bytes.get_u32(),
            text_length: bytes.get_u32(),
            content: bytes,
        })
    }

    /// The message of NATS, with these parts behind the content.
    pub(crate) fn encode(&self, parts: &[&[u8]]) -> Bytes {
        let length = self.content.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let mut bytes = BytesMut::with_capacity(HEADER + length);
        bytes.put_u8(VERSION);
        bytes.put_u8(self.kind as u8);
        bytes.put_u8(if self.more { MORE } else { 0 } | if self.last { LAST } else { 0 });
        bytes.put_u64(self.sender.0);
        bytes.put_u32(self.exchange.port);
        bytes.put_u64(self.exchange.request);
        bytes.put_u32(self.number);
        bytes.put_u32(self.context_length);
        bytes.put_u32(self.text_length);
        bytes.put_slice(&self.content);
        parts.iter().for_each(|part| bytes.put_slice(part));
        bytes.freeze()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of the exchange 3/7 with this content.
    pub(in crate::fleet::calls) fn frame(kind: Kind, number: u32, content: &'static str) -> Frame {
        Frame {
            kind,
            more: false,
            last: false,
            sender: Instance(9),
            exchange: ExchangeId { port: 3, request: 7 },
            number,
            context_length: 0,
            text_length: content.len() as u32,
            content: Bytes::from_static(content.as_bytes()),
        }
    }

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let whole = Frame { more: true, last: true, ..frame(Kind::ToCaller, 4, "abc") };
        let bytes = whole.encode(&[]);
        assert_eq!(bytes.len(), HEADER + 3);
        assert_eq!(Frame::decode(bytes), Ok(whole));
        let empty = frame(Kind::Ping, 0, "");
        let parts = Frame::decode(empty.encode(&[b"ab", b"", b"c"])).unwrap();
        assert_eq!((parts.kind, &*parts.content), (Kind::Ping, &b"abc"[..]));
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let good = frame(Kind::Request, 0, "x").encode(&[]);
        for length in 0..HEADER {
            assert_eq!(Frame::decode(good.slice(..length)), Err(FrameError::Short(length)));
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            Frame::decode(bytes.into())
        };
        assert_eq!(with(0, 2), Err(FrameError::Version(2)));
        assert_eq!([with(1, 0), with(1, 11)], [0, 11].map(|kind| Err(FrameError::Kind(kind))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(frame) = Frame::decode(bytes.clone().into()) {
                // Flags without a meaning are ignored.
                let mut again = frame.encode(&[]).to_vec();
                again[2] = bytes[2];
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
