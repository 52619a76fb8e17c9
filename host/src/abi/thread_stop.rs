//! When an app calls `abort` or `exit`: for a process it would be the end, and so it is for the generation. The thread
//! that called stops for good, and the host's process stays.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::abi::abort::Abort;
use crate::abi::library_context::LibraryContext;
use crate::abi::threads;

thread_local! {
    /// Whether the thread is in [`aborted`].
    static IS_STOPPING: Cell<bool> = const { Cell::new(false) };
    static WORKER: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// Sets what is done if this thread, a worker, stops for good.
pub(crate) fn on_worker_stop(then: impl FnOnce() + 'static) {
    WORKER.set(Some(Box::new(then)));
}

/// Whether this is the process of one app, which has no memory left: nobody could report anything from it.
static HAS_NO_MEMORY: AtomicBool = AtomicBool::new(false);

/// An allocation has failed in a process that is that of one app. The next abort of the app, probably for that, is the end
/// of the process.
pub(crate) fn note_no_memory() {
    HAS_NO_MEMORY.store(true, Ordering::Relaxed);
}

/// The calling thread of the app's has called this function, and will not run on.
pub(crate) fn aborted(context: &LibraryContext, function: &str) {
    if HAS_NO_MEMORY.load(Ordering::Relaxed) {
        // It fails never, as this is the caller's process.
        let _ = kill_process(getpid(), Signal::KILL);
    }
    if IS_STOPPING.replace(true) {
        // What is done below has failed in the same way.
        return;
    }
    let thread = match std::thread::current().name() {
        Some(name) => name.to_owned(),
        None => threads::current_name(),
    };
    let abort = Abort { function: function.to_owned(), thread };
    log::error!("{}#{}: {abort} for good", context.app(), context.generation());
    context.thread_stops();
    context.abort(abort);
    if let Some(then) = WORKER.take() {
        then();
    }
}
