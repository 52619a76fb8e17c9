//! A stream of bytes from one process to another, through a ring in memory that both have mapped: the writer's memory, which
//! the reader only reads, and a count of the reader's, which the writer only reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory::{Mapping, WritableMapping};

/// The other process has set a count that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a count of the ring is out of range")]
pub struct OutOfRange;

/// Where the parts of a ring are in the memory of their process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The writer's count of the bytes that it has written, in its memory.
    pub(super) written: usize,
    /// The ring's bytes, in the writer's memory.
    pub(super) bytes: usize,
    /// How many there are.
    pub(super) size: usize,
    /// The reader's count of the bytes that it has read, in its memory.
    pub(super) read: usize,
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct RingWriter {
    own: Arc<WritableMapping>,
    peer: Arc<Mapping>,
    place: Place,
    written: u64,
    /// What the reader had read when that was last looked at. Its count is in a cache line that the other processor writes to,
    /// and is only read again when there seems to be no room.
    read_seen: u64,
}

impl RingWriter {
    /// The end of an empty ring.
    pub(super) fn new(own: Arc<WritableMapping>, peer: Arc<Mapping>, place: Place) -> Self {
        Self { own, peer, place, written: 0, read_seen: 0 }
    }

    /// How many bytes were written to it.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes the reader has read.
    pub(super) fn read(&self) -> Result<u64, OutOfRange> {
        let read = self.peer.load_u64(self.place.read);
        let unread = self.written.checked_sub(read).ok_or(OutOfRange)?;
        if unread > self.place.size as u64 { Err(OutOfRange) } else { Ok(read) }
    }

    /// How many bytes there is room for.
    pub(super) fn room(&self) -> Result<usize, OutOfRange> {
        let unread = self.written - self.read()?;
        Ok(self.place.size - unread as usize)
    }

    /// Writes as many of the bytes as there is room for; how many. The reader sees them after
    /// [`publish`](Self::publish).
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, OutOfRange> {
        if bytes.len() > self.known_room() {
            self.read_seen = self.read()?;
        }
        let count = bytes.len().min(self.known_room());
        let start = (self.written % self.place.size as u64) as usize;
        let first = count.min(self.place.size - start);
        self.own.copy_from(self.place.bytes + start, &bytes[..first]);
        self.own.copy_from(self.place.bytes, &bytes[first..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn known_room(&self) -> usize {
        self.place.size - (self.written - self.read_seen) as usize
    }

    /// Shows the reader what was written.
    pub(super) fn publish(&self) {
        self.own.word_u64(self.place.written).store(self.written, Ordering::Release);
    }
}

/// The reader's end.
#[derive(Debug)]
pub(super) struct RingReader {
    own: Arc<WritableMapping>,
    peer: Arc<Mapping>,
    place: Place,
    read: u64,
    /// What the writer had written when that was last looked at, as for [`RingWriter`].
    written_seen: u64,
}

impl RingReader {
    /// The end of an empty ring.
    pub(super) fn new(own: Arc<WritableMapping>, peer: Arc<Mapping>, place: Place) -> Self {
        Self { own, peer, place, read: 0, written_seen: 0 }
    }

    /// How many bytes there are to be read, or at least that there are `wanted`.
    pub(super) fn available(&mut self, wanted: usize) -> Result<usize, OutOfRange> {
        if ((self.written_seen - self.read) as usize) < wanted {
            let written = self.peer.load_u64(self.place.written);
            let unread = written.checked_sub(self.read).ok_or(OutOfRange)?;
            if unread > self.place.size as u64 {
                return Err(OutOfRange);
            }
            self.written_seen = written;
        }
        Ok((self.written_seen - self.read) as usize)
    }

    /// Appends a copy of the next `count` bytes to `into` without taking them; there are as many.
    pub(super) fn peek(&self, count: usize, into: &mut Vec<u8>) {
        let start = (self.read % self.place.size as u64) as usize;
        let first = count.min(self.place.size - start);
        self.peer.copy_to(self.place.bytes + start, first, into);
        self.peer.copy_to(self.place.bytes, count - first, into);
    }

    /// Takes the next `count` bytes; there are as many. The writer gets their room back with [`publish`](Self::publish).
    pub(super) fn take(&mut self, count: usize) {
        self.read += count as u64;
    }

    /// Shows the writer what was taken.
    pub(super) fn publish(&self) {
        self.own.word_u64(self.place.read).store(self.read, Ordering::Release);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::memory::SharedMemory;
    use super::*;

    /// Memory of one process, which the other has mapped to read.
    pub(in super::super) fn one_way() -> (Arc<WritableMapping>, Arc<Mapping>) {
        let memory = SharedMemory::new("test", 8192).unwrap();
        (Arc::new(memory.map_to_write(0, 8192).unwrap()), Arc::new(memory.map(0, 8192).unwrap()))
    }

    fn ring(size: usize) -> (RingWriter, RingReader, Arc<WritableMapping>, Arc<WritableMapping>) {
        let ((writers, seen_by_reader), (readers, seen_by_writer)) = (one_way(), one_way());
        let place = Place { written: 0, bytes: 4096, size, read: 64 };
        let writer = RingWriter::new(writers.clone(), seen_by_writer, place);
        let reader = RingReader::new(readers.clone(), seen_by_reader, place);
        (writer, reader, writers, readers)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_order(steps in prop::collection::vec((0..60_usize, 0..60_usize), 1..200)) {
            let (mut writer, mut reader, ..) = ring(48);
            let (mut next, mut seen) = (0_u8, 0_u8);
            for (to_write, to_read) in steps {
                let bytes: Vec<u8> = (0..to_write).map(|offset| next.wrapping_add(offset as u8)).collect();
                let count = writer.write(&bytes).unwrap();
                prop_assert!(count == to_write || writer.room() == Ok(0));
                next = next.wrapping_add(count as u8);
                writer.publish();
                let count = to_read.min(reader.available(to_read).unwrap());
                let mut bytes = Vec::new();
                reader.peek(count, &mut bytes);
                reader.take(count);
                reader.publish();
                for byte in bytes {
                    prop_assert_eq!(byte, seen);
                    seen = seen.wrapping_add(1);
                }
            }
            prop_assert_eq!(reader.available(usize::MAX).unwrap(), usize::from(next.wrapping_sub(seen)));
        }
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        let (mut writer, mut reader, writers, readers) = ring(48);
        assert_eq!(writer.write(&[1; 10]), Ok(10));
        writer.publish();
        for read in [11, u64::MAX] {
            readers.word_u64(64).store(read, Ordering::Relaxed);
            assert_eq!(writer.room(), Err(OutOfRange));
            assert_eq!(writer.write(&[1; 39]), Err(OutOfRange));
        }
        for written in [49, u64::MAX] {
            writers.word_u64(0).store(written, Ordering::Relaxed);
            assert_eq!(reader.available(1), Err(OutOfRange));
        }
        writers.word_u64(0).store(48, Ordering::Relaxed);
        assert_eq!(reader.available(1), Ok(48), "a full ring");
        writers.word_u64(0).store(u64::MAX, Ordering::Relaxed);
        assert_eq!(reader.available(48), Ok(48), "what was there can be read");
        assert_eq!(reader.available(49), Err(OutOfRange));
    }
}
