//! A child that an app's code has forked, and that comes back to its worker as a copy of it. It shares the descriptors that
//! the workers wait for, so it would take messages away from them, and answer requests to nobody: it ends.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set in a child.
static FORKED: AtomicBool = AtomicBool::new(false);

/// The status of a program with a fault in itself, from `sysexits.h`.
const SOFTWARE: i32 = 70;

extern "C" fn note_child() {
    FORKED.store(true, Ordering::Relaxed);
}

/// From now on children are known.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without memory for it, children are not known.
        // SAFETY: the function only stores a number, which it may in a child.
        unsafe { libc::pthread_atfork(None, None, Some(note_child)) };
    });
}

/// Ends the process, if it is a child. Takes no lock and does not allocate.
#[inline]
pub(crate) fn end_child() {
    if FORKED.load(Ordering::Relaxed) {
        end();
    }
}

#[cold]
fn end() -> ! {
    const TEXT: &str = "a forked child returned to the worker's code and exits\n";
    // SAFETY: the pointer and length are those of the text.
    unsafe {
        libc::write(libc::STDERR_FILENO, TEXT.as_ptr().cast(), TEXT.len());
        libc::_exit(SOFTWARE)
    }
}
