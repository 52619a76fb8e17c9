//! A message as bytes in a ring: a header, the lengths of its buffers, its text and its buffers.

use atoll_protocol::abi::{Buffer, Message};
use atoll_protocol::{ErrorObject, Response, code};

use super::ring::{OutOfRange, RingReader, RingWriter};
use crate::buffer;
use crate::message::to_json;

/// How many buffers go with a message: those behind them are left out, as no message of the protocol refers to them.
pub(super) const MAX_TRANSFERS: usize = 16;

/// How many bytes a message may have, with its buffers. A larger body has to be a stream.
pub const MAX_BYTES: u64 = 1 << 30;

/// How much memory is reserved at a time for what has been announced and has not come.
const STEP: usize = 1 << 20;

const HEADER: usize = 40;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request of the host's, which may have a deadline.
    Request = 1,
    /// Anything else.
    Other = 2,
}

/// What stands before a message. Times are those of the system's monotonic clock in nanoseconds, which all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The thread of the host that waits for what comes of it.
    pub(super) lane: u8,
    /// A request's place in the table of those that were withdrawn.
    pub(super) slot: u32,
    /// The request that it is about, or 0.
    pub(super) id: u64,
    /// When a request was sent, or when the worker took the request that this is about; or 0.
    pub(super) begun: u64,
    /// A request's deadline, or 0.
    pub(super) deadline: u64,
}

/// Why the bytes in a ring are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A count is wrong.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The header is wrong.
    #[error("a message has an invalid header: {0}")]
    Header(&'static str),
    /// There is no memory for it.
    #[error("there is no memory for a message of {0} bytes")]
    Memory(u64),
}

impl Header {
    fn write(&self, json: usize, transfer: &[Buffer], into: &mut Vec<u8>) {
        into.extend([self.kind as u8, self.lane]);
        into.extend((transfer.len() as u16).to_ne_bytes());
        into.extend(self.slot.to_ne_bytes());
        into.extend(self.id.to_ne_bytes());
        into.extend(self.begun.to_ne_bytes());
        into.extend(self.deadline.to_ne_bytes());
        into.extend((json as u64).to_ne_bytes());
        transfer.iter().for_each(|buffer| into.extend((buffer.len() as u64).to_ne_bytes()));
    }
}

/// A message on its way into a ring.
pub(super) struct Outgoing {
    head: Vec<u8>,
    message: Message,
    /// How much of all that was written.
    done: usize,
}

/// The buffers that go with a message.
fn transfer(message: &Message) -> &[Buffer] {
    &message.transfer[..message.transfer.len().min(MAX_TRANSFERS)]
}

impl Outgoing {
    pub(super) fn new(header: &Header, message: Message) -> Self {
        let mut head = Vec::with_capacity(HEADER + 8 * transfer(&message).len());
        header.write(message.json.len(), transfer(&message), &mut head);
        Self { head, message, done: 0 }
    }

    /// How many bytes it takes in a ring.
    pub(super) fn len(&self) -> usize {
        let transfer: usize = transfer(&self.message).iter().map(|buffer| buffer.len()).sum();
        self.head.len() + self.message.json.len() + transfer
    }

    /// Writes as much of it as there is room for; whether all of it was written.
    pub(super) fn write(&mut self, ring: &mut RingWriter) -> Result<bool, OutOfRange> {
        let parts = [&self.head[..], &self.message.json].into_iter();
        let mut before = 0;
        let mut is_done = true;
        for part in parts.chain(transfer(&self.message).iter().map(|buffer| &**buffer)) {
            if self.done < before + part.len() {
                self.done += ring.write(&part[self.done - before..])?;
            }
            before += part.len();
            if self.done < before {
                is_done = false;
                break;
            }
        }
        ring.publish();
        Ok(is_done)
    }
}

/// A message of a worker's about the request `id` as it can be sent: instead of one that is too large, an error as the answer
/// to the request.
pub(super) fn within_limits(message: Message, id: u64) -> Message {
    let buffers: u64 = transfer(&message).iter().map(|buffer| buffer.len() as u64).sum();
    let size = buffers + message.json.len() as u64;
    if size <= MAX_BYTES {
        return message;
    }
    let what = format!("the message has {size} bytes, more than {MAX_BYTES}: send the body as a stream");
    let error = ErrorObject { code: code::INTERNAL_ERROR, message: what.into(), data: None };
    crate::message::message(to_json(&Response::error(id, error)), Vec::new())
}

/// A message that has come out of a ring.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) header: Header,
    pub(super) json: Vec<u8>,
    pub(super) transfer: Vec<Buffer>,
}

/// A message on its way out of a ring.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    announced: Option<Announced>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Announced {
    header: Header,
    /// The lengths of the text and the buffers.
    lengths: Vec<u64>,
    /// What has come of them; the last one may be incomplete.
    parts: Vec<Vec<u8>>,
}

impl Incoming {
    /// The next message, if all of it has come.
    pub(super) fn read(&mut self, ring: &mut RingReader) -> Result<Option<Received>, FrameError> {
        if self.announced.is_none() {
            self.announced = self.read_head(ring)?;
        }
        let Some(announced) = &mut self.announced else { return Ok(None) };
        loop {
            let Announced { lengths, parts, .. } = announced;
            let index = parts.len() - 1;
            let (part, length) = (&mut parts[index], lengths[index]);
            let missing = length as usize - part.len();
            let count = missing.min(ring.available()?);
            if part.capacity() - part.len() < count {
                let more = missing.min(count.max(STEP).max(part.len()));
                part.try_reserve_exact(more).map_err(|_full| FrameError::Memory(length))?;
            }
            ring.peek(count, part);
            ring.take(count);
            if count < missing {
                return Ok(None);
            }
            if parts.len() == lengths.len() {
                break;
            }
            parts.push(Vec::new());
        }
        let Some(Announced { header, parts, .. }) = self.announced.take() else { return Ok(None) };
        let mut parts = parts.into_iter();
        let json = parts.next().unwrap_or_default();
        Ok(Some(Received { header, json, transfer: parts.map(buffer::from_vec).collect() }))
    }

    fn read_head(&mut self, ring: &mut RingReader) -> Result<Option<Announced>, FrameError> {
        let available = ring.available()?;
        if available < HEADER {
            return Ok(None);
        }
        self.scratch.clear();
        ring.peek(HEADER, &mut self.scratch);
        let kind = match self.scratch[0] {
            1 => Kind::Request,
            2 => Kind::Other,
            _ => return Err(FrameError::Header("its kind is unknown")),
        };
        let transfers = usize::from(u16::from_ne_bytes([self.scratch[2], self.scratch[3]]));
        if transfers > MAX_TRANSFERS {
            return Err(FrameError::Header("it has too many buffers"));
        }
        let head = HEADER + 8 * transfers;
        if available < head {
            return Ok(None);
        }
        // The header itself is not read again: it may have changed.
        let mut rest = Vec::with_capacity(head);
        ring.peek(head, &mut rest);
        self.scratch.extend_from_slice(&rest[HEADER..]);
        ring.take(head);
        let number = |offset: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.scratch[offset..offset + 8]);
            u64::from_ne_bytes(bytes)
        };
        let slot = u32::from_ne_bytes([4, 5, 6, 7].map(|offset: usize| self.scratch[offset]));
        let lengths: Vec<u64> = (0..=transfers).map(|index| number(32 + 8 * index)).collect();
        if lengths
            .iter()
            .try_fold(0_u64, |sum, &length| sum.checked_add(length))
            .is_none_or(|sum| sum > MAX_BYTES)
        {
            return Err(FrameError::Header("it is too large"));
        }
        let header = Header {
            kind,
            lane: self.scratch[1],
            slot,
            id: number(8),
            begun: number(16),
            deadline: number(24),
        };
        Ok(Some(Announced { header, lengths, parts: vec![Vec::new()] }))
    }
}
