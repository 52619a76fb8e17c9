//! When an app calls `abort` or `exit`: for a process it would be the end, and so it is for the generation. The thread
//! that called stops for good, and the host's process stays.

use std::cell::RefCell;

use crate::abi::abort::Abort;
use crate::abi::library_context::LibraryContext;
use crate::abi::threads;

thread_local! {
    static WORKER: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// Sets what is done if this thread, a worker, stops for good.
pub(crate) fn on_worker_stop(then: impl FnOnce() + 'static) {
    WORKER.set(Some(Box::new(then)));
}

/// The calling thread of the app's has called this function, and will not run on.
pub(crate) fn aborted(context: &LibraryContext, function: &str) {
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
