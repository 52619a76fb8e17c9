//! Where signals for the whole process are passed on to: a thread of each generation that handles some.
//!
//! The list is read by a signal's handler, on any thread at any time. So its entries are never freed: those of generations
//! that are gone serve the next ones.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use super::action::bit;
use super::real;

/// The entry of one generation.
#[derive(Debug)]
pub(super) struct Route {
    next: *const Route,
    taken: AtomicBool,
    /// The signals that it handles.
    handled: AtomicU64,
    /// The kernel's number of the thread that they are sent to; 0: there is none.
    thread: AtomicI32,
}

// SAFETY: `next` points to an entry that is never freed and does not change; the rest is atomic.
unsafe impl Sync for Route {}

static FIRST: AtomicPtr<Route> = AtomicPtr::new(ptr::null_mut());

/// The `si_code` of a signal that was passed on; what it was is then in `si_errno`, which the kernel leaves at 0. It is
/// negative, as the kernel lets only the main thread send its own codes.
const PASSED_ON: c_int = -0x41_54_4f_4c;

fn all() -> impl Iterator<Item = &'static Route> {
    // SAFETY: the entries are never freed.
    let first = unsafe { FIRST.load(Ordering::Acquire).as_ref() };
    // SAFETY: as above.
    std::iter::successors(first, |route| unsafe { route.next.as_ref() })
}

impl Route {
    /// An entry that nobody else has. The caller has the lock of those who change signals.
    pub(super) fn take() -> &'static Self {
        if let Some(free) = all().find(|route| !route.taken.swap(true, Ordering::Relaxed)) {
            return free;
        }
        let route = Box::leak(Box::new(Self {
            next: FIRST.load(Ordering::Relaxed),
            taken: AtomicBool::new(true),
            handled: AtomicU64::new(0),
            thread: AtomicI32::new(0),
        }));
        FIRST.store(route, Ordering::Release);
        route
    }

    /// Gives it back: nothing is sent by it any more, but what is on its way.
    pub(super) fn give_back(&self) {
        self.handled.store(0, Ordering::SeqCst);
        self.thread.store(0, Ordering::SeqCst);
        self.taken.store(false, Ordering::Release);
    }

    pub(super) fn lead_to(&self, thread: libc::pid_t) {
        self.thread.store(thread, Ordering::SeqCst);
    }

    /// Whether this signal is sent by it.
    pub(super) fn set_handled(&self, signal: c_int, handled: bool) {
        if handled {
            self.handled.fetch_or(bit(signal), Ordering::SeqCst);
        } else {
            self.handled.fetch_and(!bit(signal), Ordering::SeqCst);
        }
    }
}

/// Passes a signal on to all generations that handle it.
///
/// Takes no lock and does not allocate.
pub(super) fn pass_on(signal: c_int, info: &libc::siginfo_t) {
    let mut marked = *info;
    marked.si_errno = info.si_code;
    marked.si_code = PASSED_ON;
    for route in all() {
        let thread = route.thread.load(Ordering::SeqCst);
        if thread != 0 && route.handled.load(Ordering::SeqCst) & bit(signal) != 0 {
            real::send(thread, signal, &marked);
        }
    }
}

/// Whether this signal was passed on; its record is then as it was before.
pub(super) fn was_passed_on(info: &mut libc::siginfo_t) -> bool {
    if info.si_code != PASSED_ON {
        return false;
    }
    info.si_code = std::mem::take(&mut info.si_errno);
    true
}
