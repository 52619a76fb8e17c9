//! When an app calls `abort` or `exit`: the thread that did stops for good, and the process goes on.

use std::cell::RefCell;

use crate::context::LibraryContext;

/// Given the name of the function that was called.
type Then = Box<dyn FnOnce(&str)>;

thread_local! {
    static ON_ABORT: RefCell<Option<Then>> = const { RefCell::new(None) };
}

/// Says what is to be done if the app's code calls `abort` or `exit` on this thread.
pub(crate) fn on_abort(then: impl FnOnce(&str) + 'static) {
    ON_ABORT.set(Some(Box::new(then)));
}

/// The calling thread of the app's has called this function, and will not run on.
pub(crate) fn aborted(context: &LibraryContext, function: &str) {
    log::error!(
        "{}#{}: {function} was called on the thread {:?}, which stops here for good",
        context.app(),
        context.generation(),
        std::thread::current().name().unwrap_or("of the app's")
    );
    if let Some(then) = ON_ABORT.take() {
        then(function);
    }
}
