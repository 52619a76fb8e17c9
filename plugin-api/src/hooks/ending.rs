//! What ends the process, and here only the calling thread.

use std::ffi::c_int;

use super::behind::behind;
use crate::link;

behind! {
    fn abort() -> !;
    fn exit(status: c_int) -> !;
}

/// Ends the calling thread in the place of the process: the host is told, and the thread stops here for good. What it
/// held is not released; the host retires the generation and keeps it pinned. Comes back when there is no host yet.
fn stop_thread(function: &str) {
    let Some(link) = link::get() else { return };
    // A test that is linked with an app ends as any program does.
    #[cfg(feature = "test")]
    if crate::test::is_bound() {
        return;
    }
    // SAFETY: the text lives through the call.
    unsafe { link.host.aborted()(link.generation, function.into()) };
    loop {
        std::thread::park();
    }
}

/// `abort`, for the calling thread only. So a panic that cannot unwind, as one in a `Drop` during another, or one in a
/// panic's message, does not take the host with it.
///
/// # Safety
/// None is needed; all these functions are called in the same way.
pub unsafe fn abort() -> ! {
    stop_thread("abort");
    // SAFETY: no preconditions.
    unsafe { real::abort() }
}

/// `exit`, for the calling thread only: an app is not to end the host.
///
/// # Safety
/// As for libc's function.
pub unsafe fn exit(status: c_int) -> ! {
    stop_thread("exit");
    // SAFETY: by the caller's contract.
    unsafe { real::exit(status) }
}
