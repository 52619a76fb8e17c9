//! What a thread waits at until another one lets it pass.

use std::sync::atomic::{AtomicU32, Ordering};

/// A number that threads wait for, without what a thread of the standard library has: one is also made while the
/// dynamic linker holds its locks.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU32);

impl Gate {
    /// Lets those pass that wait, and all that come.
    pub(super) fn open(&self) {
        self.0.store(1, Ordering::SeqCst);
        // SAFETY: the word lives through the call.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.0.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                i32::MAX,
            )
        };
    }

    /// Waits until it is open.
    pub(super) fn pass(&self) {
        while self.0.load(Ordering::SeqCst) == 0 {
            let no_limit = std::ptr::null::<libc::timespec>();
            // SAFETY: as above.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.0.as_ptr(),
                    libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                    0,
                    no_limit,
                )
            };
        }
    }
}
