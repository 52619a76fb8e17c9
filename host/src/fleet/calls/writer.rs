//! Frames out of messages.

use bytes::{Bytes, BytesMut};

use super::frame::{ExchangeId, Frame, HEADER, Instance, Kind};
use crate::fleet::call_limits::MAX_CALL_MESSAGE;

/// The parts of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) context: &'a [u8],
    pub(crate) text: &'a [u8],
    pub(crate) buffer: &'a [u8],
}

/// A message is too large for another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes, and a call or a WebSocket message between hosts has at most {MAX_CALL_MESSAGE}")]
pub(crate) struct TooLarge(usize);

/// Writes the frames of one direction of an exchange.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    sender: Instance,
    exchange: ExchangeId,
    /// How many bytes a frame may have.
    limit: usize,
    /// The number of the next frame.
    next: u32,
}

impl FrameWriter {
    /// Frames of at most `limit` bytes, which is more than those of a header.
    pub(crate) fn new(sender: Instance, exchange: ExchangeId, limit: usize) -> Self {
        Self { sender, exchange, limit: limit.max(HEADER + 1), next: 0 }
    }

    /// A frame without a number, which is no part of a message.
    pub(crate) fn control(sender: Instance, exchange: ExchangeId, kind: Kind, text: &[u8]) -> Bytes {
        let frame = Frame {
            kind,
            more: false,
            last: false,
            sender,
            exchange,
            number: 0,
            context_length: 0,
            text_length: u32::try_from(text.len()).unwrap_or(u32::MAX),
            content: Bytes::new(),
        };
        frame.encode(&[text])
    }

    /// The frames of a message. Those after the first one of a request are to the server that has it.
    ///
    /// # Errors
    /// It is too large.
    pub(crate) fn write(&mut self, kind: Kind, parts: Parts<'_>, last: bool) -> Result<Vec<Bytes>, TooLarge> {
        let Parts { context, text, buffer } = parts;
        let length = context.len() + text.len() + buffer.len();
        if length > MAX_CALL_MESSAGE {
            return Err(TooLarge(length));
        }
        let room = self.limit - HEADER;
        // They fit, as the limit is less.
        let (context_length, text_length) = (context.len() as u32, text.len() as u32);
        let mut frame = Frame {
            kind,
            more: length > room,
            last,
            sender: self.sender,
            exchange: self.exchange,
            number: self.take_number(),
            context_length,
            text_length,
            content: Bytes::new(),
        };
        if !frame.more {
            return Ok(vec![frame.encode(&[context, text, buffer])]);
        }
        let mut all = BytesMut::with_capacity(length);
        [context, text, buffer].iter().for_each(|part| all.extend_from_slice(part));
        let mut all = all.freeze();
        let mut frames = Vec::with_capacity(length.div_ceil(room));
        loop {
            let content = all.split_to(room.min(all.len()));
            frame.more = !all.is_empty();
            frames.push(frame.encode(&[&content]));
            if !frame.more {
                return Ok(frames);
            }
            frame.number = self.take_number();
            (frame.context_length, frame.text_length) = (0, 0);
            if frame.kind == Kind::Request {
                frame.kind = Kind::ToServer;
            }
        }
    }

    fn take_number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }
}
