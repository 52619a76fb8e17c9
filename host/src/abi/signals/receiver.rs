//! The thread of a generation on which its handlers run of signals for the whole process.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::sync::atomic::Ordering;

use atoll_plugin::abi::ThreadEvent;

use super::real;
use crate::abi::current;
use crate::abi::library_context::LibraryContext;

thread_local! {
    static RECEIVES: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is such a one.
pub(super) fn is_this_thread() -> bool {
    RECEIVES.get()
}

/// Makes the thread, and waits until it can be sent signals. The caller has all signals blocked.
///
/// # Errors
/// The system has no thread to give.
pub(super) fn start(context: &LibraryContext) -> io::Result<()> {
    let argument = (&raw const *context).cast_mut().cast();
    // It is booked as a thread of the generation's own, by the program's `pthread_create`.
    let failed = current::run_for(context, || {
        let mut thread = 0;
        // SAFETY: a thread that is booked keeps the context. Nobody joins it.
        unsafe {
            let failed = libc::pthread_create(&mut thread, std::ptr::null(), run, argument);
            if failed == 0 {
                libc::pthread_detach(thread);
            }
            failed
        }
    });
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    context.signals().ready.pass();
    Ok(())
}

extern "C" fn run(context: *mut c_void) -> *mut c_void {
    // SAFETY: as in `start`.
    let context = unsafe { &*context.cast::<LibraryContext>() };
    let signals = context.signals();
    if current::with(|_| ()).is_none() {
        // The program's `pthread_create` is another one.
        current::thread_event(context, ThreadEvent::Starting);
        current::thread_event(context, ThreadEvent::Started);
    }
    RECEIVES.set(true);
    let name = format!("{}#{} signals\0", context.app(), context.generation());
    // SAFETY: the name ends with a zero. The kernel keeps the beginning of a longer one.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    // SAFETY: no preconditions.
    let this = unsafe { libc::gettid() };
    signals.receiver.store(this, Ordering::SeqCst);
    if let Some(route) = signals.route() {
        route.lead_to(this);
    }
    signals.ready.open();
    real::block_only(0);
    signals.closed.pass();
    // None of the app's code from here on.
    real::block_only(!0);
    std::ptr::null_mut()
}
