//! What ends the process, and here only the generation: the host is notified, and the calling thread stops.
//!
//! A forked child is a process of the app's own: there they end it.

use std::ffi::CStr;

use super::behind::behind;
use super::process;
use super::signals;
use super::types::{c_char, c_int, c_uint};
use crate::abi::link;

behind! {
    fn abort() -> !;
    fn exit(status: c_int) -> !;
    fn _exit(status: c_int) -> !;
    fn quick_exit(status: c_int) -> !;
}

/// Ends a forked child, without the exit handlers: they are the host's and other apps', and this is a copy of them.
fn end_child(status: c_int) -> ! {
    // SAFETY: no preconditions. What the child has printed by libc's streams goes out; glibc frees their locks at a fork.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        real::_exit(status)
    }
}

/// Ends the generation instead of the process: the host is notified, and the calling thread stops here forever. What
/// it held is not released; the host replaces the generation and keeps it pinned. Comes back when there is no host yet,
/// and in a forked child.
pub(super) fn stop_thread(function: &str) {
    let Some(link) = link::get() else { return };
    if process::is_forked_child() || link.is_test {
        return;
    }
    // SAFETY: the text lives through the call.
    unsafe { link.host.aborted()(link.generation, function.into()) };
    loop {
        std::thread::park();
    }
}

/// Ends the calling thread, if the app is to end: it is only this thread that is left to. Comes back where it cannot end so.
fn leave_if_stopping() {
    if let Some(link) = link::get()
        && signals::is_stopping()
        && !process::is_forked_child()
    {
        link.host.thread_leave()();
    }
}

/// Whether this is a test that is linked with an app, which ends as any program does.
pub(super) fn is_test() -> bool {
    link::get().is_some_and(|link| link.is_test)
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
    leave_if_stopping();
    stop_thread("exit");
    if process::is_forked_child() {
        end_child(status);
    }
    // SAFETY: by the caller's contract.
    unsafe { real::exit(status) }
}

/// `_exit`, for this generation only.
///
/// # Safety
/// As for libc's function.
pub unsafe fn _exit(status: c_int) -> ! {
    leave_if_stopping();
    stop_thread("_exit");
    // SAFETY: by the caller's contract.
    unsafe { real::_exit(status) }
}

/// `_Exit`, which is `_exit`.
///
/// # Safety
/// As for libc's function.
#[expect(non_snake_case, reason = "its name in libc")]
pub unsafe fn _Exit(status: c_int) -> ! {
    // SAFETY: by the caller's contract.
    unsafe { _exit(status) }
}

/// `quick_exit`, for this generation only.
///
/// # Safety
/// As for libc's function.
pub unsafe fn quick_exit(status: c_int) -> ! {
    leave_if_stopping();
    stop_thread("quick_exit");
    if process::is_forked_child() {
        end_child(status);
    }
    // SAFETY: by the caller's contract.
    unsafe { real::quick_exit(status) }
}

/// What C's `assert` calls, whose `abort` is libc's own: for this generation only.
///
/// # Safety
/// As for libc's function: all texts are C strings, or null.
pub unsafe fn __assert_fail(
    assertion: *const c_char,
    file: *const c_char,
    line: c_uint,
    function: *const c_char,
) -> ! {
    // SAFETY: by the caller's contract.
    let text = |text: *const c_char| match unsafe { text.as_ref() } {
        // SAFETY: as above.
        Some(text) => unsafe { CStr::from_ptr(text) }.to_string_lossy(),
        None => "?".into(),
    };
    log::error!(
        "{}:{line}: {}: the assertion `{}` does not hold",
        text(file),
        text(function),
        text(assertion)
    );
    // SAFETY: no preconditions.
    unsafe { abort() }
}
