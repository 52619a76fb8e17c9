//! The host's side: its action at each signal, and its handler, which is the real one for the hooked signals.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::action::{Action, Slots, bit};
use super::{kind, real};

/// What the kernel calls.
pub(super) type RealHandler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The host's handler for each signal that it has [installed](take_over).
pub(super) static HOST: Slots = Slots::new();

/// The hooked signals.
static TAKEN_OVER: AtomicU64 = AtomicU64::new(0);

/// The handler of those signals.
static HANDLER: OnceLock<RealHandler> = OnceLock::new();

pub(super) fn is_taken_over(signal: c_int) -> bool {
    TAKEN_OVER.load(Ordering::SeqCst) & bit(signal) != 0
}

/// Makes the host's handler the real one, at first with what there is kept for the host.
///
/// Takes no lock and does not allocate if the signal is hooked already.
pub(super) fn take_over(signal: c_int, handler: RealHandler) {
    if !is_taken_over(signal) {
        HANDLER.get_or_init(|| handler);
        HOST.get(signal).store(real::current(signal));
        TAKEN_OVER.fetch_or(bit(signal), Ordering::SeqCst);
    }
    // The host's handler for stack overflows needs the thread's alternate stack.
    set_flags(signal, libc::SA_RESTART | HOST.get(signal).load().flags & libc::SA_ONSTACK);
}

/// Sets these flags for the handler of a hooked signal.
pub(super) fn set_flags(signal: c_int, flags: c_int) {
    let Some(&handler) = HANDLER.get() else { return };
    // What is fatal may be an overflow of the stack.
    let stack = if kind::is_fatal(signal) { libc::SA_ONSTACK } else { 0 };
    let flags = flags | stack | libc::SA_SIGINFO;
    let action = Action { handler: handler as usize, flags, mask: !kind::NEVER_BLOCKED };
    // SAFETY: the host's handler may be called at any time, on any thread.
    unsafe { real::set(signal, action) };
}
