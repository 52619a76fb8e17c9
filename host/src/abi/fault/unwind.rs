//! The instruction pointers of the stack that a signal has interrupted.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use atoll_plugin::hooks::unwinder;

/// How many frames a record has at most.
pub(crate) const FRAMES: usize = 128;

/// How many frames the handler itself may have, with what is between it and the one that was interrupted.
const OWN_FRAMES: usize = 32;

/// Whether the unwinder finds a library by its address without a lock.
static IS_SAFE: AtomicBool = AtomicBool::new(false);

/// Looks up whether the stack can be unwound in a handler. Since glibc 2.35 the unwinder finds the library of an address by
/// `_dl_find_object`, which takes no lock.
pub(crate) fn prepare() {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    IS_SAFE.store(!found.is_null(), Ordering::SeqCst);
    // Resolves the functions, for which the dynamic linker takes a lock.
    if !found.is_null() {
        walk(0, |_| ());
    }
}

struct Walk<F> {
    /// Where the thread was interrupted.
    start: usize,
    begun: bool,
    skipped: usize,
    seen: usize,
    see: F,
}

extern "C" fn step<F: FnMut(usize)>(context: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: `walk` gives its own, for the time of the walk.
    let walk = unsafe { &mut *walk.cast::<Walk<F>>() };
    // SAFETY: the unwinder gives a context that is valid for this call.
    let address = unsafe { unwinder::_Unwind_GetIP(context) };
    walk.begun |= address == walk.start;
    if !walk.begun {
        walk.skipped += 1;
        return if walk.skipped > OWN_FRAMES { unwinder::END_OF_STACK } else { unwinder::CONTINUE };
    }
    if walk.seen == FRAMES {
        return unwinder::END_OF_STACK;
    }
    walk.seen += 1;
    (walk.see)(address);
    unwinder::CONTINUE
}

fn walk<F: FnMut(usize)>(start: usize, see: F) -> bool {
    let mut walk = Walk { start, begun: false, skipped: 0, seen: 0, see };
    // SAFETY: `step` is called with the pointer given here, during this call only.
    unsafe { unwinder::_Unwind_Backtrace(step::<F>, (&raw mut walk).cast()) };
    walk.begun
}

/// Shows the frames of the interrupted code to `see`, the one at `start` first. `false`: they cannot be found here.
pub(crate) fn interrupted(start: usize, see: impl FnMut(usize)) -> bool {
    IS_SAFE.load(Ordering::SeqCst) && walk(start, see)
}
