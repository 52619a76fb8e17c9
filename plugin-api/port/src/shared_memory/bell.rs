//! Wakes what sleeps in an app process: threads on a word in shared memory, an event loop on an eventfd. The words only wake
//! somebody: whatever the other process puts into them, this one does a system call too much or too few.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use rustix::thread::futex;

use super::layout::worker;
use super::memory::WritableMapping;
use crate::transport::Bell;

/// The doorbell of a worker in an app process, in either process.
#[derive(Debug)]
pub(super) struct SharedBell {
    words: Arc<WritableMapping>,
    eventfd: OwnedFd,
}

impl SharedBell {
    pub(super) fn new(words: Arc<WritableMapping>, eventfd: OwnedFd) -> Self {
        Self { words, eventfd }
    }

    /// What wakes an event loop.
    pub(super) fn eventfd(&self) -> &OwnedFd {
        &self.eventfd
    }

    /// Waits until it rings, at most for `timeout`. Returns at once if something is there; also without a reason.
    pub(super) fn wait(&self, timeout: Option<Duration>, nothing_there: impl FnOnce() -> bool) {
        sleep(&self.words, worker::BELL, worker::THREADS, timeout, nothing_there);
    }

    /// Notes that an event loop sleeps until the eventfd is readable, if nothing is there for it; whether it may.
    pub(super) fn sleep(&self, nothing_there: impl FnOnce() -> bool) -> bool {
        let loops = self.words.word_u32(worker::LOOPS);
        loops.store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let may = nothing_there();
        if !may {
            loops.store(0, Ordering::SeqCst);
        }
        may
    }
}

impl Bell for SharedBell {
    fn is_awaited(&self) -> bool {
        fence(Ordering::SeqCst);
        [worker::THREADS, worker::LOOPS].into_iter().any(|word| self.words.load_u32(word) != 0)
    }

    fn ring(&self) {
        fence(Ordering::SeqCst);
        wake(&self.words, worker::BELL, worker::THREADS);
        let loops = self.words.word_u32(worker::LOOPS);
        if loops.load(Ordering::SeqCst) != 0 && loops.swap(0, Ordering::SeqCst) != 0 {
            // It fails only when the counter is full, and then it is readable already.
            let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
        }
    }
}

/// Sleeps until `word` changes, or `timeout` has passed; at once if something is there. Also without a reason.
pub(super) fn sleep(
    words: &WritableMapping,
    word: usize,
    sleepers: usize,
    timeout: Option<Duration>,
    nothing_there: impl FnOnce() -> bool,
) {
    let word: &AtomicU32 = words.word_u32(word);
    let before = word.load(Ordering::SeqCst);
    words.word_u32(sleepers).store(1, Ordering::SeqCst);
    // What is published from now on finds it asleep, and what was published before is found by the look.
    fence(Ordering::SeqCst);
    if nothing_there() {
        // A timeout that no clock can express is none.
        let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
        // The caller looks again, whatever has ended the wait.
        let _ = futex::wait(word, futex::Flags::empty(), before, timeout.as_ref());
    }
}

/// Wakes those that sleep on `word`.
pub(super) fn wake(words: &WritableMapping, word: usize, sleepers: usize) {
    let sleepers = words.word_u32(sleepers);
    if sleepers.load(Ordering::SeqCst) != 0 && sleepers.swap(0, Ordering::SeqCst) != 0 {
        let word = words.word_u32(word);
        word.fetch_add(1, Ordering::SeqCst);
        // There is no error but that of an address that is none.
        let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
    }
}
