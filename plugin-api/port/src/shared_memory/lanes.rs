//! The threads of a host that wait for what comes from app processes. Each has a lane: an eventfd that wakes it, and a word in
//! memory that app processes read, by which they see whether it sleeps. There is a fixed number of lanes, so that an app
//! process gets all of them when it starts; a thread without one is woken by another that has one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::available_parallelism;

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::layout::PAGE;
use super::memory::{Mapping, SharedMemory, WritableMapping};

/// How many lanes a host has at the most.
pub(super) const MAX_LANES: usize = 64;

/// How many lanes there are besides one for each processor: for the supervisors, and for calls between apps, of all hosts in
/// the process.
const MORE_LANES: usize = 16;

/// How far the words of lanes are apart: each has its cache line.
const STRIDE: usize = 128;

static LANES: OnceLock<Lanes> = OnceLock::new();

/// The lanes of this process.
pub(crate) struct Lanes {
    memory: SharedMemory,
    words: WritableMapping,
    eventfds: Vec<OwnedFd>,
    free: Mutex<Vec<u8>>,
}

impl Lanes {
    /// The lanes of this process, which are made when they are first asked for.
    ///
    /// # Errors
    /// The system has no descriptors or no memory for them; it is tried again the next time.
    pub(crate) fn get() -> io::Result<&'static Self> {
        if let Some(lanes) = LANES.get() {
            return Ok(lanes);
        }
        let count = (available_parallelism().map_or(1, usize::from) + MORE_LANES).min(MAX_LANES);
        let memory = SharedMemory::new("atoll-lanes", PAGE)?;
        let words = memory.map_to_write(0, PAGE)?;
        memory.seal_writing()?;
        let eventfd = |_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let eventfds = (0..count).map(eventfd).collect::<Result<_, _>>()?;
        let free = Mutex::new((0..count as u8).rev().collect());
        Ok(LANES.get_or_init(|| Self { memory, words, eventfds, free }))
    }

    /// A lane that no other thread has.
    pub(crate) fn take(&'static self) -> Option<Lane> {
        let number = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Lane { lanes: self, number })
    }
}

/// The descriptors from which an app process makes its [`HostLanes`].
///
/// # Errors
/// The system has no descriptors or no memory for lanes.
pub fn lane_descriptors() -> io::Result<Vec<BorrowedFd<'static>>> {
    let Lanes { memory, eventfds, .. } = Lanes::get()?;
    Ok(std::iter::once(memory.as_fd()).chain(eventfds.iter().map(AsFd::as_fd)).collect())
}

/// A lane of one thread.
pub(crate) struct Lane {
    lanes: &'static Lanes,
    number: u8,
}

impl Lane {
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// What becomes readable when something has come since [`sleep`](Self::sleep), registered with the reactor of this thread.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside of a runtime that does I/O.
    pub(crate) fn signal(&self) -> io::Result<AsyncFd<BorrowedFd<'static>>> {
        let eventfd = self.lanes.eventfds[usize::from(self.number)].as_fd();
        // SAFETY: the lanes of a process are never dropped, so that the descriptor stays open.
        Ok(unsafe { AsyncFd::register_with_interest(eventfd, Interest::READABLE)? })
    }

    /// The thread is about to sleep: it has to look once more whether something has come.
    pub(crate) fn sleep(&self) {
        // Even before: it was awake.
        self.count_on(|word| word.wrapping_add(1) | 1);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// The thread looks for what has come.
    pub(crate) fn wake(&self) {
        self.count_on(|word| word.wrapping_add(1) & !1);
    }

    fn count_on(&self, change: impl Fn(u32) -> u32) {
        // Only this thread writes to it.
        let word = self.lanes.words.word_u32(usize::from(self.number) * STRIDE);
        word.store(change(word.load(Ordering::Relaxed)), Ordering::SeqCst);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.wake();
        self.lanes.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

/// The lanes of the host, as an app process has them.
#[derive(Debug)]
pub struct HostLanes {
    words: Mapping,
    lanes: Vec<HostLane>,
}

#[derive(Debug)]
struct HostLane {
    eventfd: OwnedFd,
    /// The word of the lane when it was last rung for.
    rung: std::sync::atomic::AtomicU32,
}

impl HostLanes {
    /// From the descriptors that the host has sent, in their order.
    ///
    /// # Errors
    /// They are not those of lanes.
    pub fn new(descriptors: impl IntoIterator<Item = OwnedFd>) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let words = descriptors.next().ok_or(io::ErrorKind::InvalidInput)?;
        let words = SharedMemory::received(words, PAGE)?.map(0, PAGE)?;
        let lane = |eventfd| HostLane { eventfd, rung: 0.into() };
        Ok(Self { words, lanes: descriptors.take(MAX_LANES).map(lane).collect() })
    }

    /// Wakes the thread of a lane, if it sleeps and was not woken since it does.
    pub(super) fn ring(&self, lane: u8) {
        let Some(HostLane { eventfd, rung }) = self.lanes.get(usize::from(lane)) else { return };
        std::sync::atomic::fence(Ordering::SeqCst);
        let word = self.words.load_u32(usize::from(lane) * STRIDE);
        if word % 2 == 1 && rung.swap(word, Ordering::SeqCst) != word {
            // It fails only when the counter is full, and then it is readable already.
            let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
        }
    }
}
