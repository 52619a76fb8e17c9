//! Where what is in the memory of a host and an app process. Each of their workers has a part of both memories.
//!
//! | memory | written by | what |
//! |---|---|---|
//! | host's | host | a page of counts and marks, and the ring to the worker |
//! | worker's, first page | both | the words that threads sleep on: what is in them only wakes somebody |
//! | worker's, rest | worker | a page of counts, and the ring to the host |

use super::ring::Place;

/// A multiple of the size of a page on every machine that Atoll runs on.
pub(super) const PAGE: usize = 64 << 10;

/// How many bytes a ring has.
pub const RING: usize = 256 << 10;

/// How many requests can be marked as withdrawn at a time: more than a ring holds.
pub(super) const SLOTS: usize = 8192;

/// How many bytes of the host's memory each worker has.
pub(super) const HOST_PART: usize = PAGE + RING;

/// How many bytes of the app process's memory each worker has.
pub(super) const WORKER_PART: usize = 2 * PAGE + RING;

/// In the host's memory.
pub(super) mod host {
    /// How many bytes it has written to the worker.
    pub(in super::super) const WRITTEN: usize = 0;
    /// How many bytes it has read from the worker.
    pub(in super::super) const READ: usize = 64;
    /// Odd while it waits for room in the ring to the worker; counted on each time.
    pub(in super::super) const ROOM: usize = 128;
    /// Not 0 when the port is closed.
    pub(in super::super) const CLOSED: usize = 192;
    /// A bit for each request that was withdrawn.
    pub(in super::super) const WITHDRAWN: usize = 1024;
    /// The ring to the worker.
    pub(in super::super) const RING: usize = super::PAGE;
}

/// In the worker's memory.
pub(super) mod worker {
    /// Counted on by what wakes threads of the worker.
    pub(in super::super) const BELL: usize = 0;
    /// Not 0 while threads of the worker may sleep until `BELL` changes.
    pub(in super::super) const THREADS: usize = 64;
    /// Not 0 while an event loop of the worker's may sleep until its eventfd is readable.
    pub(in super::super) const LOOPS: usize = 128;
    /// Counted on when there is room again in the ring to the host.
    pub(in super::super) const ROOM: usize = 192;
    /// Not 0 while threads of the worker may sleep until `ROOM` changes.
    pub(in super::super) const WAITS_FOR_ROOM: usize = 256;
    /// How many bytes the worker has written to the host.
    pub(in super::super) const WRITTEN: usize = super::PAGE;
    /// How many bytes the worker has read from the host.
    pub(in super::super) const READ: usize = super::PAGE + 64;
    /// How many bytes the app has allocated, of the first worker's part.
    pub(in super::super) const LIVE: usize = super::PAGE + 128;
    /// The most that it has been.
    pub(in super::super) const PEAK: usize = super::PAGE + 136;
    /// How many bytes the last allocation asked for that failed, or 0.
    pub(in super::super) const FAILED: usize = super::PAGE + 144;
    /// The number of the request whose code the worker runs now, or 0.
    pub(in super::super) const RUNNING: usize = super::PAGE + 192;
    /// The ring to the host.
    pub(in super::super) const RING: usize = 2 * super::PAGE;
}

/// The ring from the host to the worker.
pub(super) const TO_WORKER: Place =
    Place { written: host::WRITTEN, bytes: host::RING, size: RING, read: worker::READ };

/// The ring from the worker to the host.
pub(super) const TO_HOST: Place =
    Place { written: worker::WRITTEN, bytes: worker::RING, size: RING, read: host::READ };
