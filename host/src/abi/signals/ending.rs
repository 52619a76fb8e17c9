//! The end of the process by a signal, also if what is done before hangs.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, Ordering};

use super::action::{Action, bit};
use super::real;

/// The signal by which the process is to end.
static ENDS_BY: AtomicI32 = AtomicI32::new(0);

/// The time is over.
unsafe extern "C" fn end(_: c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let signal = ENDS_BY.load(Ordering::SeqCst);
    // SAFETY: the default is no function.
    unsafe { real::set(signal, Action::DEFAULT) };
    real::send_to_self(signal);
    real::block_only(!bit(signal));
}

/// Runs `f`, in the handler of a signal that ends the process. If it takes longer than so many seconds, the process ends by
/// this signal meanwhile.
pub(in crate::abi) fn within(seconds: u32, signal: c_int, f: impl FnOnce()) {
    ENDS_BY.store(signal, Ordering::SeqCst);
    let before = real::current(libc::SIGALRM);
    let action =
        Action { handler: end as *const () as usize, flags: libc::SA_SIGINFO | libc::SA_ONSTACK, mask: !0 };
    // SAFETY: the handler may be called on any thread: the process is about to end.
    unsafe { real::set(libc::SIGALRM, action) };
    let blocked = real::unblock(libc::SIGALRM);
    // SAFETY: no preconditions.
    let earlier = unsafe { libc::alarm(seconds) };
    f();
    // SAFETY: as above; the alarm and its action are what they were.
    unsafe {
        libc::alarm(earlier);
        real::set(libc::SIGALRM, before);
    }
    real::block_only(blocked);
}
