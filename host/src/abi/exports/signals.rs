//! Signals that shared libraries set and send: they are those of the generation that the calling thread runs for, and on
//! the host's threads its own.

use std::ffi::{c_int, c_void};

use atoll_plugin::hooks::actions::{self, Actions};
use libc::pthread_t;

use super::stop_thread;
use crate::abi::behind::Behind;
use crate::abi::{current, signals};

/// The signals of whom the calling thread runs for.
struct OfThread;

impl Actions for OfThread {
    unsafe fn sigaction(
        &self,
        signal: c_int,
        new: *const libc::sigaction,
        old: *mut libc::sigaction,
    ) -> c_int {
        // Not by `with`, for which a forked child runs for nobody: the signals are still those of the app.
        // SAFETY: by the caller's contract.
        let of_app =
            current::with_in_child(|context| unsafe { signals::sigaction(Some(context), signal, new, old) });
        // SAFETY: as above.
        of_app.unwrap_or_else(|| unsafe { signals::sigaction(None, signal, new, old) })
    }

    unsafe fn send_to_self(&self, signal: c_int) -> c_int {
        // SAFETY: the thread runs.
        unsafe { real_pthread_kill(libc::pthread_self(), signal) }
    }

    fn end(&self, call: &str) {
        stop_thread(call);
    }

    fn is_process(&self) -> bool {
        current::with(|_| ()).is_none()
    }
}

unsafe fn real_pthread_kill(thread: pthread_t, signal: c_int) -> c_int {
    static BEHIND: Behind = Behind::new(c"pthread_kill");
    type Function = unsafe extern "C" fn(pthread_t, c_int) -> c_int;
    // SAFETY: libc's function has this type; for the rest, by the caller's contract.
    unsafe { std::mem::transmute::<*mut c_void, Function>(BEHIND.find())(thread, signal) }
}

unsafe fn real_kill(process: c_int, signal: c_int) -> c_int {
    static BEHIND: Behind = Behind::new(c"kill");
    type Function = unsafe extern "C" fn(c_int, c_int) -> c_int;
    // SAFETY: libc's function has this type; for the rest, by the caller's contract.
    unsafe { std::mem::transmute::<*mut c_void, Function>(BEHIND.find())(process, signal) }
}

/// Defines functions as those of [`actions`].
macro_rules! of_thread {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                // SAFETY: the caller keeps the contract of the function of this name.
                unsafe { actions::$name(&OfThread, $($argument),*) }
            }
        )*

        export! { $($name),* }
    };
}
atoll_plugin::__signal_functions! { of_thread }

export! { kill, pthread_kill, sigaction }

unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    // SAFETY: the caller keeps the contract of libc's function.
    unsafe { OfThread.sigaction(signal, new, old) }
}

unsafe extern "C" fn kill(process: c_int, signal: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { actions::kill(&OfThread, process, signal, || real_kill(process, signal)) }
}

unsafe extern "C" fn pthread_kill(thread: pthread_t, signal: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { actions::send(&OfThread, "pthread_kill", signal, || real_pthread_kill(thread, signal)) }
}
