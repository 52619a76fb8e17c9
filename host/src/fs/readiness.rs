//! What can be done with a file descriptor without waiting.

use std::os::fd::{AsRawFd, BorrowedFd};

/// Which of these events, of `poll`, there are now; those of an error are always looked for.
pub(crate) fn now(descriptor: BorrowedFd<'_>, events: i16) -> i16 {
    let mut asked = libc::pollfd { fd: descriptor.as_raw_fd(), events, revents: 0 };
    // SAFETY: the pointer is to one value of the right type. It does not wait.
    match unsafe { libc::poll(&mut asked, 1, 0) } {
        1 => asked.revents,
        _ => 0,
    }
}
