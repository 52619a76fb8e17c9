//! What ends the process, and here only the generation: the host is told, and the calling thread stops.
//!
//! A forked child is a process of the app's own: there they end it.

use std::ffi::c_int;

use super::behind::behind;
use super::process;
use crate::link;

behind! {
    fn abort() -> !;
    fn exit(status: c_int) -> !;
}

/// Ends a forked child, without the exit handlers: they are the host's and other apps', and this is a copy of them.
fn end_child(status: c_int) -> ! {
    // SAFETY: no preconditions. What the child has printed by libc's streams goes out; glibc frees their locks at a fork.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(status)
    }
}

/// Ends the generation in the place of the process: the host is told, and the calling thread stops here for good. What
/// it held is not released; the host replaces the generation and keeps it pinned. Comes back when there is no host yet,
/// and in a forked child.
pub(super) fn stop_thread(function: &str) {
    let Some(link) = link::get() else { return };
    if process::is_forked_child() || is_test() {
        return;
    }
    // SAFETY: the text lives through the call.
    unsafe { link.host.aborted()(link.generation, function.into()) };
    loop {
        std::thread::park();
    }
}

/// Whether this is a test that is linked with an app, which ends as any program does.
pub(super) fn is_test() -> bool {
    #[cfg(feature = "test")]
    return crate::test::is_bound();
    #[cfg(not(feature = "test"))]
    false
}

/// `abort`, for this generation only. So a panic that cannot unwind, as one in a `Drop` during another, or one in a
/// panic's message, does not take the host with it.
///
/// # Safety
/// None is needed; all these functions are called in the same way.
pub unsafe fn abort() -> ! {
    stop_thread("abort");
    // SAFETY: no preconditions.
    unsafe { real::abort() }
}

/// `exit`, for this generation only: an app is not to end the host.
///
/// # Safety
/// As for libc's function.
pub unsafe fn exit(status: c_int) -> ! {
    stop_thread("exit");
    if process::is_forked_child() {
        end_child(status);
    }
    // SAFETY: by the caller's contract.
    unsafe { real::exit(status) }
}
