//! Signals: what the library sets is kept by the host for its generation, and what it sends itself stays with it.
//!
//! The functions of libc are all made of `sigaction`; how, is in [`actions`].

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use super::actions::{self, Actions};
use super::behind::behind;
use super::types::{SignalAction, pthread_t};
use super::{ending, process};
use crate::abi::link;

behind! {
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn pthread_kill(thread: pthread_t, signal: c_int) -> c_int;
    fn sigaction(signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int;
}

/// The signals of this library.
struct OfLibrary;

impl Actions for OfLibrary {
    unsafe fn sigaction(&self, signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int {
        // SAFETY: by the caller's contract.
        unsafe {
            match link::get() {
                Some(link) => link.host.signal_action()(link.generation, signal, new.cast(), old.cast()),
                None => before_bind(signal, new, old),
            }
        }
    }

    unsafe fn send_to_self(&self, signal: c_int) -> c_int {
        // SAFETY: the thread runs.
        unsafe { real::pthread_kill(libc::pthread_self(), signal) }
    }

    fn end(&self, call: &str) {
        ending::stop_thread(call);
    }

    fn is_process(&self) -> bool {
        link::get().is_none() || process::is_forked_child() || ending::is_test()
    }
}

/// Constructors come here, before the library is bound: the host's program defines the function for all libraries, and
/// knows for whom the thread runs.
///
/// # Safety
/// As for libc's function.
unsafe fn before_bind(signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int {
    type Function = unsafe extern "C" fn(c_int, *const SignalAction, *mut SignalAction) -> c_int;
    // SAFETY: the program is there for good, so that its handle need not be closed; the name is a C string, and the
    // function of this name has this type.
    unsafe {
        let program = libc::dlopen(std::ptr::null(), libc::RTLD_NOW);
        let found = libc::dlsym(program, c"sigaction".as_ptr());
        if found.is_null() {
            return real::sigaction(signal, new, old);
        }
        std::mem::transmute::<*mut c_void, Function>(found)(signal, new, old)
    }
}

/// The signal by which the app was notified of its end, once it has to end; `None` in it: it handles no such signal.
static STOP: OnceLock<Option<c_int>> = OnceLock::new();

/// Whether the app is to end. Takes no lock.
pub(super) fn is_stopping() -> bool {
    STOP.get().is_some()
}

/// Does once for the library what a process gets when it is to end: SIGTERM to the app's handler, or SIGINT where there is only
/// one for that. Whether there is a handler. It runs on this thread.
pub(crate) fn deliver_stop() -> bool {
    let mut is_first = false;
    let stop = *STOP.get_or_init(|| {
        is_first = true;
        let is_handled = |signal: &c_int| actions::is_handled(&OfLibrary, *signal);
        // In a test, the signals are those of the program.
        let has_own = !OfLibrary.is_process();
        [libc::SIGTERM, libc::SIGINT].into_iter().filter(|_| has_own).find(is_handled)
    });
    if is_first && let Some(signal) = stop {
        // SAFETY: the app has set the handler for this.
        unsafe { actions::raise(&OfLibrary, signal) };
    }
    stop.is_some()
}

/// `sigaction`, for this generation.
///
/// # Safety
/// As for libc's function.
pub unsafe fn sigaction(signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { OfLibrary.sigaction(signal, new, old) }
}

/// Defines functions as those of [`actions`], for this library.
macro_rules! of_library {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, for this generation.")]
            ///
            /// # Safety
            /// As for libc's function.
            pub unsafe fn $name($($argument: $type),*) -> $result {
                // SAFETY: by the caller's contract.
                unsafe { actions::$name(&OfLibrary, $($argument),*) }
            }
        )*
    };
}
__signal_functions! { of_library }

/// `kill`, of which what goes to the own process stays with this generation.
///
/// # Safety
/// As for libc's function.
pub unsafe fn kill(process: c_int, signal: c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { actions::kill(&OfLibrary, process, signal, || real::kill(process, signal)) }
}

/// `pthread_kill`, of which what would end the process ends this generation.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_kill(thread: pthread_t, signal: c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { actions::send(&OfLibrary, "pthread_kill", signal, || real::pthread_kill(thread, signal)) }
}

/// libc's `sigaction`.
///
/// # Safety
/// As for libc's function.
#[cfg(feature = "test")]
pub(crate) unsafe fn real_sigaction(
    signal: c_int,
    new: *const SignalAction,
    old: *mut SignalAction,
) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { real::sigaction(signal, new, old) }
}
