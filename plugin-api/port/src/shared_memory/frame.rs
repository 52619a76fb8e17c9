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

/// The most that can stand before a message's text: the header, and the lengths of its buffers.
const LONGEST_HEAD: usize = HEADER + 8 * MAX_TRANSFERS;

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
    /// What stands before a message with this text and these buffers.
    fn head(&self, json: usize, transfer: &[Buffer]) -> Head {
        let mut head = Head { bytes: [0; LONGEST_HEAD], len: 0 };
        head.put([self.kind as u8, self.lane]);
        head.put((transfer.len() as u16).to_ne_bytes());
        head.put(self.slot.to_ne_bytes());
        let numbers = [self.id, self.begun, self.deadline, json as u64];
        let lengths = transfer.iter().map(|buffer| buffer.len() as u64);
        numbers.into_iter().chain(lengths).for_each(|number| head.put(number.to_ne_bytes()));
        head
    }
}

/// What stands before a message, as bytes.
struct Head {
    bytes: [u8; LONGEST_HEAD],
    len: usize,
}

impl Head {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(&bytes);
        self.len += N;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A message on its way into a ring.
pub(super) struct Outgoing {
    head: Head,
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
        let head = header.head(message.json.len(), transfer(&message));
        Self { head, message, done: 0 }
    }

    /// How many bytes it takes in a ring.
    pub(super) fn len(&self) -> usize {
        let transfer: usize = transfer(&self.message).iter().map(|buffer| buffer.len()).sum();
        self.head.len + self.message.json.len() + transfer
    }

    /// Writes as much of it as there is room for; whether all of it was written.
    pub(super) fn write(&mut self, ring: &mut RingWriter) -> Result<bool, OutOfRange> {
        let parts = [self.head.bytes(), &self.message.json].into_iter();
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
    json: Part,
    /// Its buffers, of which the first `complete` have come.
    transfer: Vec<Part>,
    complete: usize,
}

/// The text of a message, or one of its buffers.
#[derive(Debug)]
struct Part {
    length: u64,
    /// What has come of it.
    bytes: Vec<u8>,
}

impl Part {
    fn announced(length: u64) -> Self {
        Self { length, bytes: Vec::new() }
    }

    /// Takes what is there of it; whether that is all.
    fn read(&mut self, ring: &mut RingReader) -> Result<bool, FrameError> {
        let missing = self.length as usize - self.bytes.len();
        let count = missing.min(ring.available(missing)?);
        if self.bytes.capacity() - self.bytes.len() < count {
            let more = missing.min(count.max(STEP).max(self.bytes.len()));
            self.bytes.try_reserve_exact(more).map_err(|_full| FrameError::Memory(self.length))?;
        }
        ring.peek(count, &mut self.bytes);
        ring.take(count);
        Ok(count == missing)
    }
}

impl Announced {
    /// Takes what is there of it; whether that is all.
    fn read(&mut self, ring: &mut RingReader) -> Result<bool, FrameError> {
        if !self.json.read(ring)? {
            return Ok(false);
        }
        while let Some(part) = self.transfer.get_mut(self.complete) {
            if !part.read(ring)? {
                return Ok(false);
            }
            self.complete += 1;
        }
        Ok(true)
    }
}

impl Incoming {
    /// The next message, if all of it has come.
    pub(super) fn read(&mut self, ring: &mut RingReader) -> Result<Option<Received>, FrameError> {
        let mut announced = match self.announced.take() {
            Some(announced) => announced,
            None => match self.read_head(ring)? {
                Some(announced) => announced,
                None => return Ok(None),
            },
        };
        let is_complete = announced.read(ring)?;
        ring.publish();
        if !is_complete {
            self.announced = Some(announced);
            return Ok(None);
        }
        let Announced { header, json, transfer, .. } = announced;
        let transfer = transfer.into_iter().map(|part| buffer::from_vec(part.bytes)).collect();
        Ok(Some(Received { header, json: json.bytes, transfer }))
    }

    fn read_head(&mut self, ring: &mut RingReader) -> Result<Option<Announced>, FrameError> {
        let available = ring.available(HEADER)?;
        if available < HEADER {
            return Ok(None);
        }
        // All of it that can be there is copied once, since it may change.
        self.scratch.clear();
        ring.peek(available.min(LONGEST_HEAD), &mut self.scratch);
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
        if self.scratch.len() < head {
            // What was known may be less than what is there.
            if ring.available(head)? < head {
                return Ok(None);
            }
            let copied = self.scratch.len();
            let mut rest = Vec::with_capacity(head);
            ring.peek(head, &mut rest);
            // The header itself is not read again.
            self.scratch.extend_from_slice(&rest[copied..]);
        }
        ring.take(head);
        let number = |offset: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.scratch[offset..offset + 8]);
            u64::from_ne_bytes(bytes)
        };
        let slot = u32::from_ne_bytes([4, 5, 6, 7].map(|offset: usize| self.scratch[offset]));
        let lengths = || (0..=transfers).map(|index| number(32 + 8 * index));
        if lengths().try_fold(0_u64, u64::checked_add).is_none_or(|sum| sum > MAX_BYTES) {
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
        let transfer = lengths().skip(1).map(Part::announced).collect();
        Ok(Some(Announced { header, json: Part::announced(number(32)), transfer, complete: 0 }))
    }
}
