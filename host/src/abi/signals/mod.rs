//! Signals, which a process has once and every app as if it were one.
//!
//! What an app sets for a signal is its generation's: it does not change what the host or another generation has set, and
//! is not seen by them. The real handler is the host's, and [delivers](mod@deliver) what comes. It stays when an app is
//! gone, whose handlers are never called again then.
//!
//! The host's own handlers are called first. No app can take SIGINT, SIGTERM or SIGHUP away from it.

mod action;
mod deliver;
pub(super) mod ending;
mod gate;
mod host;
mod kind;
mod real;
mod receiver;
mod route;
pub(super) mod state;

use std::ffi::c_int;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::Ordering;

use self::action::{Action, SIGNALS};
use self::deliver::deliver;
use self::host::{HOST, is_taken_over, take_over};
use self::route::Route;
use self::state::{Handling, locked, refresh};
use crate::abi::current;
use crate::abi::library_context::LibraryContext;
use crate::abi::thread_end::asked;

/// A real handler that was set where it cannot be seen, by a system call, and is in this library.
pub(crate) fn unseen_handler(is_in_library: impl Fn(usize) -> bool) -> Option<c_int> {
    (1..=SIGNALS as c_int).find(|&signal| {
        let action = real::current(signal);
        action.is_handler() && is_in_library(action.handler)
    })
}

/// Asks a thread of an app to end, which it does if it only waits.
pub(crate) fn ask_to_end(thread: libc::pid_t) {
    if !is_taken_over(asked::SIGNAL) {
        locked(|_| take_over(asked::SIGNAL, deliver));
    }
    real::send(thread, asked::SIGNAL, &asked::record());
}

/// `sigaction`, for a generation or, without one, for the host. The error is in `errno`.
///
/// # Safety
/// As for libc's function: `new` and `old` are null or point to an action, and a new handler is a function that may be called
/// at the signal, as long as its library is loaded.
pub(crate) unsafe fn sigaction(
    context: Option<&LibraryContext>,
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    let real = || {
        // SAFETY: by the caller's contract.
        unsafe { real::sigaction(signal, new, old) }
    };
    if !kind::can_be_handled(signal) {
        return real();
    }
    // SAFETY: by the caller's contract.
    let wanted = unsafe { new.as_ref() }.map(Action::from_raw);
    if context.is_none() && !is_taken_over(signal) && !wanted.is_some_and(|wanted| hides(signal, wanted)) {
        return real();
    }
    let slot = context.map_or(HOST.get(signal), |context| context.signals().slots.get(signal));
    let before = slot.load();
    let failed = match wanted {
        None => Ok(()),
        // Another thread may have had the lock at the fork. What follows is a separate process.
        Some(wanted) if current::is_forked_child() => {
            slot.store(wanted);
            // SAFETY: by the caller's contract; the child's library stays.
            unsafe { real::set(signal, wanted) };
            Ok(())
        }
        Some(wanted) => locked(|handling| change(context, signal, wanted, handling)),
    };
    if let Err(error) = failed {
        // SAFETY: every thread has its own.
        unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EAGAIN) };
        return -1;
    }
    // SAFETY: by the caller's contract.
    if let Some(old) = unsafe { old.as_mut() } {
        *old = before.to_raw();
    }
    0
}

/// From now on, signals that an app has asked for do not end the host where it does not handle them (`alarm`, say), what
/// ends the process is recorded, and the host's handlers of faults run for the host on an app's thread as well: that of
/// Rust's standard library sets the default and comes back, so that the fault ends the process.
pub(crate) fn cover_apps() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        locked(|_| kind::of_apps().chain(kind::fatal()).for_each(|signal| take_over(signal, deliver)));
    });
}

/// Whether the host ignores a signal by a handler, as children that an app makes would inherit that it is ignored: Rust's
/// standard library ignores SIGPIPE.
fn hides(signal: c_int, wanted: Action) -> bool {
    signal == libc::SIGPIPE && wanted.handler == libc::SIG_IGN
}

fn change(
    context: Option<&LibraryContext>,
    signal: c_int,
    wanted: Action,
    handling: &mut Vec<Handling>,
) -> std::io::Result<()> {
    let Some(context) = context else {
        if !is_taken_over(signal) {
            take_over(signal, deliver);
        }
        HOST.get(signal).store(wanted);
        refresh(signal, handling);
        return Ok(());
    };
    let signals = context.signals();
    if signals.retired.load(Ordering::SeqCst) && wanted.is_handler() {
        // The generation is on its way out: nothing that it sets now would be called.
        return Ok(());
    }
    if wanted.is_handler() {
        if signals.route().is_none() {
            signals.route.store((&raw const *Route::take()).cast_mut(), Ordering::SeqCst);
            if let Err(error) = receiver::start(context) {
                if let Some(route) = signals.route() {
                    route.give_back();
                }
                signals.route.store(ptr::null_mut(), Ordering::SeqCst);
                return Err(error);
            }
            handling.push(Handling(signals));
        }
        if !is_taken_over(signal) {
            take_over(signal, deliver);
        }
    }
    signals.slots.get(signal).store(wanted);
    signals.handles(signal, wanted.is_handler());
    if is_taken_over(signal) {
        refresh(signal, handling);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
