//! The signal by which a thread is asked to end.

use std::ffi::{c_int, c_void};

use super::{frame, waits};
use crate::abi::current;

/// One that does nothing by default.
pub(crate) const SIGNAL: c_int = libc::SIGURG;

/// The `si_code` of such a signal. It is negative, as the kernel lets only the main thread send its own codes.
const ASKED: c_int = -0x41_54_4f_45;

/// The record of such a signal.
pub(crate) fn record() -> libc::siginfo_t {
    // SAFETY: all zeros are a record.
    let mut record: libc::siginfo_t = unsafe { std::mem::zeroed() };
    record.si_signo = SIGNAL;
    record.si_code = ASKED;
    record
}

/// Whether this is such a signal.
pub(crate) fn is_this(record: &libc::siginfo_t) -> bool {
    record.si_signo == SIGNAL && record.si_code == ASKED
}

/// Ends the calling thread, where its generation has no workers any more and it waits at the place that the signal's context
/// names.
///
/// Takes no lock and does not allocate.
pub(crate) fn end_if_waiting(interrupted: *mut c_void) {
    let is_waiting = current::with(|context| {
        context.thread_ranges().is_some_and(|ranges| {
            // SAFETY: the kernel gives the context of what was interrupted.
            waits::is_waiting(unsafe { &*interrupted.cast() }, ranges)
        })
    });
    if is_waiting == Some(true) {
        frame::leave();
    }
}
