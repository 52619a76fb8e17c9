//! Which library has made which of the process's file descriptors, so that those it leaves open can be closed after it.
//!
//! Its number alone does not say whether a descriptor is still the one that was made: code whose calls are not seen,
//! such as another shared library that was given it, may have closed it, and the host may have got the number since.
//! Device and inode do not say it either: they are the same each time a file is opened, and for all eventfds, epolls
//! and inotifys. So what is made is marked, in what the kernel keeps of the open file itself: the signal of its
//! asynchronous input and output is set to SIGIO. That is the signal it has anyway, but it then reads as SIGIO, where
//! it reads as 0 in what nobody has marked. A descriptor is closed if its number is the library's in this table, where
//! another library that gets the number takes it over, and the mark is there, which it is not if code that is not seen
//! has made it. Only a copy of a marked descriptor, made unseen under a number that was closed unseen, is mistaken.
//!
//! Recording is also done by forked children, on their copy of the table, so it takes no lock and does not allocate.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// As many as the kernel gives a process, unless `fs.nr_open` was raised. What is above is left open. Memory is taken
/// for the numbers that are in use only.
const NUMBERS: usize = 1 << 20;

/// For each number the [`Maker`] of its descriptor; 0 is none.
static MAKERS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];

/// No number from here on was ever recorded.
static END: AtomicUsize = AtomicUsize::new(0);

/// A library, as what makes descriptors. No two are the same, also over time.
#[derive(Debug)]
pub(crate) struct Maker(u64);

impl Maker {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Records a descriptor that the library has just made. What cannot be marked (`O_PATH`) is not recorded.
    pub(crate) fn made(&self, descriptor: RawFd) {
        let Some((number, maker)) = place(descriptor) else { return };
        if !mark(descriptor) {
            maker.store(0, Ordering::Relaxed);
            return;
        }
        maker.store(self.0, Ordering::Relaxed);
        END.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// Closes the descriptors that the library has left, and says how many there were.
    ///
    /// # Safety
    /// None of the library's code runs any more, nor will; what it did happened before.
    pub(crate) unsafe fn close_left(&self) -> usize {
        let mut closed = 0;
        for (descriptor, maker) in (0..).zip(&MAKERS[..END.load(Ordering::Relaxed)]) {
            let taken = maker.compare_exchange(self.0, 0, Ordering::Relaxed, Ordering::Relaxed);
            if taken.is_ok() && is_marked(descriptor) {
                // SAFETY: the library has made it, and nobody else uses it, as its number and mark say.
                unsafe { libc::close(descriptor) };
                closed += 1;
            }
        }
        closed
    }
}

/// Removes a descriptor, regardless of its creator: it is about to be closed, or its creator no longer owns it.
pub(crate) fn gone(descriptor: RawFd) {
    if let Some((_, maker)) = place(descriptor) {
        maker.store(0, Ordering::Relaxed);
    }
}

/// The descriptor's number and place in the table. Standard input, output and error have none: the host needs them,
/// even if an app has replaced them.
fn place(descriptor: RawFd) -> Option<(usize, &'static AtomicU64)> {
    let number = usize::try_from(descriptor).ok().filter(|&number| number > 2)?;
    Some((number, MAKERS.get(number)?))
}

/// Missing from `libc` for most Linux targets; from the kernel's `asm-generic/fcntl.h`.
const F_SETSIG: c_int = 10;
/// As above.
const F_GETSIG: c_int = 11;

fn mark(descriptor: RawFd) -> bool {
    // SAFETY: the command takes a number, and fails if the descriptor is not open.
    unsafe { libc::fcntl(descriptor, F_SETSIG, libc::SIGIO) == 0 }
}

fn is_marked(descriptor: RawFd) -> bool {
    // SAFETY: the command only asks, and fails if the descriptor is not open.
    unsafe { libc::fcntl(descriptor, F_GETSIG) == libc::SIGIO }
}

#[cfg(test)]
mod tests;
