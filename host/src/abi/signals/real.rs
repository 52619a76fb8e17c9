//! libc's functions, behind those that the program [defines](crate::abi::exports).

use std::ffi::{c_int, c_void};

use super::action::{Action, bit, mask_of, set_of};
use crate::abi::behind::Behind;

/// libc's `sigaction`; the error is in `errno`.
///
/// # Safety
/// As for libc's function: `new` and `old` are null or point to an action.
pub(super) unsafe fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    static BEHIND: Behind = Behind::new(c"sigaction");
    type Function = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;
    // SAFETY: libc's function has this type.
    let function: Function = unsafe { std::mem::transmute::<*mut c_void, Function>(BEHIND.find()) };
    // SAFETY: by the caller's contract.
    unsafe { function(signal, new, old) }
}

/// What the kernel does at a signal.
pub(super) fn current(signal: c_int) -> Action {
    let mut raw = Action::DEFAULT.to_raw();
    // SAFETY: it only asks, and there is room for the answer.
    unsafe { sigaction(signal, std::ptr::null(), &mut raw) };
    Action::from_raw(&raw)
}

/// Has the kernel do this at a signal.
///
/// # Safety
/// The handler is a function that may be called at any time, on any thread.
pub(super) unsafe fn set(signal: c_int, action: Action) {
    // SAFETY: by the caller's contract.
    unsafe { sigaction(signal, &action.to_raw(), std::ptr::null_mut()) };
}

/// Blocks exactly these signals on the calling thread; those that were blocked.
pub(super) fn block_only(mask: u64) -> u64 {
    let mut before = set_of(0);
    // SAFETY: both are sets.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set_of(mask), &mut before) };
    mask_of(&before)
}

/// Lets a signal through on the calling thread; those that were blocked.
pub(super) fn unblock(signal: c_int) -> u64 {
    let mut before = set_of(0);
    // SAFETY: both are sets.
    unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &set_of(bit(signal)), &mut before) };
    mask_of(&before)
}

/// Sends a signal to a thread of this process, with this record.
pub(super) fn send(thread: libc::pid_t, signal: c_int, info: &libc::siginfo_t) {
    // It fails only when the thread has ended, or the user has too many signals waiting.
    // SAFETY: the record lives through the call.
    unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), thread, signal, &raw const *info) };
}

/// Sends a signal to the calling thread.
pub(super) fn send_to_self(signal: c_int) {
    // SAFETY: no preconditions.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal) };
}
