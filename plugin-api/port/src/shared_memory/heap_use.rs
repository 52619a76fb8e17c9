//! How much memory an app has allocated in its process, as its host reads it.

use std::io;
use std::sync::atomic::Ordering;

use super::layout::{PAGE, worker};
use super::memory::{Mapping, SharedMemory, WritableMapping};

/// The counts, as the app process writes them.
#[derive(Debug)]
pub struct HeapUseWriter(WritableMapping);

impl HeapUseWriter {
    pub(super) fn new(worker: &SharedMemory) -> io::Result<Self> {
        Ok(Self(worker.map_to_write(PAGE, PAGE)?))
    }

    /// So many bytes are allocated, and so many have been at the most.
    pub fn write(&self, live: u64, peak: u64) {
        self.0.word_u64(worker::LIVE - PAGE).store(live, Ordering::Relaxed);
        self.0.word_u64(worker::PEAK - PAGE).store(peak, Ordering::Relaxed);
    }

    /// There was no memory for an allocation of so many bytes. Allocates nothing itself.
    pub fn write_failed(&self, bytes: u64) {
        self.0.word_u64(worker::FAILED - PAGE).store(bytes, Ordering::Relaxed);
    }
}

/// The counts, as the host reads them.
#[derive(Debug)]
pub struct HeapUse(Mapping);

impl HeapUse {
    pub(super) fn new(worker: &SharedMemory) -> io::Result<Self> {
        Ok(Self(worker.map(PAGE, PAGE)?))
    }

    /// How many bytes were allocated when a worker was last at rest.
    pub fn live(&self) -> u64 {
        self.0.load_u64(worker::LIVE - PAGE)
    }

    /// The most that it had been then.
    pub fn peak(&self) -> u64 {
        self.0.load_u64(worker::PEAK - PAGE)
    }

    /// How many bytes the last allocation asked for that failed; `None`: none has.
    pub fn failed(&self) -> Option<u64> {
        Some(self.0.load_u64(worker::FAILED - PAGE)).filter(|bytes| *bytes != 0)
    }
}
