//! Which process this is: the one that the library was bound in, or a child that it has forked.
//!
//! In a child a lock that another thread held at the fork stays locked for good, so what runs there before `exec` takes
//! none, and asks nothing of the host, which is not there.

use std::sync::atomic::{AtomicI32, Ordering};

/// The process that the library was bound in; 0 before.
static BOUND_IN: AtomicI32 = AtomicI32::new(0);

/// Notes that the library is bound in the current process.
pub(super) fn note() {
    BOUND_IN.store(current(), Ordering::Relaxed);
}

/// Whether the current process is a child that the library has forked.
pub(crate) fn is_forked_child() -> bool {
    let bound_in = BOUND_IN.load(Ordering::Relaxed);
    bound_in != 0 && bound_in != current()
}

fn current() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::getpid() }
}
