//! What one generation does at signals, and the list of all generations that handle some.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use super::action::{Action, SIGNALS, Slots};
use super::gate::Gate;
use super::route::Route;
use super::{host, kind, real};

/// The generations that handle signals. The lock of all changes; those who have it have all signals blocked.
static HANDLING: Mutex<Vec<Handling>> = Mutex::new(Vec::new());

/// A generation's signals, which take themselves out of the list before they are gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Handling(pub(super) *const Signals);

// SAFETY: `Signals` can be used from any thread, and is in the list as long as it lives at most.
unsafe impl Send for Handling {}

/// What one generation does at signals.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(super) slots: Slots,
    /// Null until it handles a signal, and when it no longer does.
    pub(super) route: AtomicPtr<Route>,
    pub(super) retired: AtomicBool,
    /// Opened by the receiver when it can be sent signals.
    pub(super) ready: Gate,
    /// The kernel's number of the receiver; 0: there was none.
    pub(super) receiver: AtomicI32,
    /// Opened when the receiver is to end.
    pub(super) closed: Gate,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slots::new(),
            route: AtomicPtr::new(ptr::null_mut()),
            retired: AtomicBool::new(false),
            ready: Gate::default(),
            receiver: AtomicI32::new(0),
            closed: Gate::default(),
        }
    }

    pub(super) fn route(&self) -> Option<&'static Route> {
        // SAFETY: routes are never freed.
        unsafe { self.route.load(Ordering::SeqCst).as_ref() }
    }

    /// Notes whether it handles a signal.
    pub(super) fn handles(&self, signal: c_int, handled: bool) {
        if let Some(route) = self.route() {
            route.set_handled(signal, handled);
        }
    }

    /// Ends the thread for signals of the whole process, which come no more. Handlers are still called on threads of the
    /// generation, at signals for those threads.
    pub(crate) fn retire(&self) {
        locked(|handling| self.retire_locked(handling));
    }

    /// The thread for signals of the whole process, once there is one.
    pub(crate) fn receiver(&self) -> Option<libc::pid_t> {
        Some(self.receiver.load(Ordering::SeqCst)).filter(|&thread| thread != 0)
    }

    fn retire_locked(&self, handling: &mut Vec<Handling>) {
        self.retired.store(true, Ordering::SeqCst);
        let route = self.route();
        self.route.store(ptr::null_mut(), Ordering::SeqCst);
        let Some(route) = route else { return };
        route.give_back();
        self.closed.open();
        handling.retain(|other| *other != Handling(self));
        for signal in (1..=SIGNALS as c_int).filter(|&signal| self.slots.get(signal).load().is_handler()) {
            refresh(signal, handling);
        }
    }

    /// No handler of it is called any more. What its library sets from now on, in destructors, is forgotten.
    pub(crate) fn forget_handlers(&self) {
        self.retire();
        for signal in 1..=SIGNALS as c_int {
            self.slots.get(signal).store(Action::DEFAULT);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.retire();
    }
}

/// Gives the real handler the flags that suit all who handle the signal: system calls are interrupted if one of them wants
/// it, and a thread's alternate stack is used if one of them does.
pub(super) fn refresh(signal: c_int, handling: &[Handling]) {
    // SAFETY: what is in the list lives.
    let of_apps = handling.iter().map(|Handling(signals)| unsafe { &**signals }.slots.get(signal).load());
    let all = of_apps.chain([host::HOST.get(signal).load()]).filter(|action| action.is_handler());
    let (every, any) = all.fold((!0, 0), |(every, any), action| (every & action.flags, any | action.flags));
    host::set_flags(signal, (every & (libc::SA_RESTART | libc::SA_NOCLDSTOP)) | (any & libc::SA_ONSTACK));
}

/// Runs `f` with the lock, and with all signals blocked: a handler may change signals, too.
pub(super) fn locked<T>(f: impl FnOnce(&mut Vec<Handling>) -> T) -> T {
    let blocked = real::block_only(!kind::NEVER_BLOCKED);
    let result = f(&mut HANDLING.lock().unwrap_or_else(PoisonError::into_inner));
    real::block_only(blocked);
    result
}
