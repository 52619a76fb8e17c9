//! Signals, which a process has once and every app as if it were one.
//!
//! What an app sets for a signal is its generation's: it does not change what the host or another generation has set, and
//! is not seen by them. The real handler is the host's, and [delivers](deliver) what comes. It stays when an app is
//! gone, whose handlers are never called again then.
//!
//! The host's own handlers are called first. No app can take SIGINT, SIGTERM or SIGHUP away from it.

mod action;
mod deliver;
mod kind;
mod real;
mod receiver;
mod route;

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use self::action::{Action, SIGNALS, Slots, bit};
use self::receiver::Gate;
use self::route::Route;
use crate::abi::current;
use crate::abi::library_context::LibraryContext;

/// What the host does at each signal that is [taken over](take_over).
static HOST: Slots = Slots::new();

/// The signals whose real handler is [`deliver::deliver`].
static TAKEN_OVER: AtomicU64 = AtomicU64::new(0);

/// The generations that handle signals. The lock of all changes; those who have it have all signals blocked.
static HANDLING: Mutex<Vec<Handling>> = Mutex::new(Vec::new());

/// A generation's signals, which take themselves out of the list before they are gone.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Handling(*const Signals);

// SAFETY: `Signals` can be used from any thread, and is in the list as long as it lives at most.
unsafe impl Send for Handling {}

/// What one generation does at signals.
#[derive(Debug)]
pub(crate) struct Signals {
    slots: Slots,
    /// Null until it handles a signal, and when it no longer does.
    route: AtomicPtr<Route>,
    retired: AtomicBool,
    /// Opened by the receiver when it can be sent signals.
    ready: Gate,
    /// The kernel's number of the receiver; 0: there was none.
    receiver: AtomicI32,
    /// Opened when the receiver is to end.
    closed: Gate,
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

    fn route(&self) -> Option<&'static Route> {
        // SAFETY: routes are never freed.
        unsafe { self.route.load(Ordering::SeqCst).as_ref() }
    }

    /// Notes whether it handles a signal.
    fn handles(&self, signal: c_int, handled: bool) {
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
        for signal in (1..=SIGNALS as c_int).filter(|&signal| self.slots.of(signal).load().is_handler()) {
            refresh(signal, handling);
        }
    }

    /// No handler of it is called any more. What its library sets from now on, in destructors, is forgotten.
    pub(crate) fn forget_handlers(&self) {
        self.retire();
        for signal in 1..=SIGNALS as c_int {
            self.slots.of(signal).store(Action::DEFAULT);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.retire();
    }
}

/// A real handler that was set where it cannot be seen, by a system call, and is in this library.
pub(crate) fn unseen_handler(is_in_library: impl Fn(usize) -> bool) -> Option<c_int> {
    (1..=SIGNALS as c_int).find(|&signal| {
        let action = real::current(signal);
        action.is_handler() && is_in_library(action.handler)
    })
}

/// `sigaction`, for a generation or, without one, for the host. The error is in `errno`.
///
/// # Safety
/// As for libc's function: `new` and `old` are null or point to an action, and a new handler is a function that may be called
/// at the signal, as long as its library is loaded.
pub(crate) unsafe fn sigaction(
    context: Option<&LibraryContext>,
    signal: c_int,
    new: *const libc::sigaction,
    old: *mut libc::sigaction,
) -> c_int {
    let real = || {
        // SAFETY: by the caller's contract.
        unsafe { real::sigaction(signal, new, old) }
    };
    if !kind::can_be_handled(signal) {
        return real();
    }
    // SAFETY: by the caller's contract.
    let wanted = unsafe { new.as_ref() }.map(Action::of);
    if context.is_none() && !is_taken_over(signal) && !wanted.is_some_and(|wanted| hides(signal, wanted)) {
        return real();
    }
    let slot = context.map_or(HOST.of(signal), |context| context.signals().slots.of(signal));
    let before = slot.load();
    let failed = match wanted {
        None => Ok(()),
        // Another thread may have had the lock at the fork. What follows is a process of its own.
        Some(wanted) if current::is_forked_child() => {
            slot.store(wanted);
            // SAFETY: by the caller's contract; the child's library stays.
            unsafe { real::set(signal, wanted) };
            Ok(())
        }
        Some(wanted) => locked(|handling| change(context, signal, wanted, handling)),
    };
    if let Err(error) = failed {
        // SAFETY: every thread has its own.
        unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EAGAIN) };
        return -1;
    }
    // SAFETY: by the caller's contract.
    if let Some(old) = unsafe { old.as_mut() } {
        *old = before.to_raw();
    }
    0
}

/// From now on, signals that an app has asked for do not end the host where it does not handle them (`alarm`, say), and
/// the host's handlers of faults run for the host on an app's thread as well: that of Rust's standard library sets the
/// default and comes back, so that the fault ends the process.
pub(crate) fn cover_apps() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        locked(|_| kind::of_apps().chain(kind::faults_of_the_host()).for_each(take_over));
    });
}

/// Whether the host ignores a signal by a handler, as children that an app makes would inherit that it is ignored: Rust's
/// standard library ignores SIGPIPE.
fn hides(signal: c_int, wanted: Action) -> bool {
    signal == libc::SIGPIPE && wanted.handler == libc::SIG_IGN
}

fn is_taken_over(signal: c_int) -> bool {
    TAKEN_OVER.load(Ordering::SeqCst) & bit(signal) != 0
}

fn change(
    context: Option<&LibraryContext>,
    signal: c_int,
    wanted: Action,
    handling: &mut Vec<Handling>,
) -> std::io::Result<()> {
    let Some(context) = context else {
        if !is_taken_over(signal) {
            take_over(signal);
        }
        HOST.of(signal).store(wanted);
        refresh(signal, handling);
        return Ok(());
    };
    let signals = context.signals();
    if signals.retired.load(Ordering::SeqCst) && wanted.is_handler() {
        // The generation is on its way out: nothing that it sets now would be called.
        return Ok(());
    }
    if wanted.is_handler() {
        if signals.route().is_none() {
            signals.route.store((&raw const *Route::take()).cast_mut(), Ordering::SeqCst);
            if let Err(error) = receiver::start(context) {
                if let Some(route) = signals.route() {
                    route.give_back();
                }
                signals.route.store(ptr::null_mut(), Ordering::SeqCst);
                return Err(error);
            }
            handling.push(Handling(signals));
        }
        if !is_taken_over(signal) {
            take_over(signal);
        }
    }
    signals.slots.of(signal).store(wanted);
    signals.handles(signal, wanted.is_handler());
    if is_taken_over(signal) {
        refresh(signal, handling);
    }
    Ok(())
}

/// Makes the host's handler the real one, at first with what there is kept for the host.
fn take_over(signal: c_int) {
    if !is_taken_over(signal) {
        HOST.of(signal).store(real::current(signal));
        TAKEN_OVER.fetch_or(bit(signal), Ordering::SeqCst);
    }
    // The host's handler for stack overflows needs the thread's alternate stack.
    install(signal, libc::SA_RESTART | HOST.of(signal).load().flags & libc::SA_ONSTACK);
}

fn install(signal: c_int, flags: c_int) {
    let handler: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut std::ffi::c_void) = deliver::deliver;
    let action =
        Action { handler: handler as usize, flags: flags | libc::SA_SIGINFO, mask: !kind::NEVER_BLOCKED };
    // SAFETY: the host's handler may be called at any time, on any thread.
    unsafe { real::set(signal, action) };
}

/// Gives the real handler the flags that suit all who handle the signal: system calls are interrupted if one of them wants
/// it, and a thread's alternate stack is used if one of them does.
fn refresh(signal: c_int, handling: &[Handling]) {
    // SAFETY: what is in the list lives.
    let of_apps = handling.iter().map(|Handling(signals)| unsafe { &**signals }.slots.of(signal).load());
    let all = of_apps.chain([HOST.of(signal).load()]).filter(|action| action.is_handler());
    let (every, any) = all.fold((!0, 0), |(every, any), action| (every & action.flags, any | action.flags));
    install(signal, (every & (libc::SA_RESTART | libc::SA_NOCLDSTOP)) | (any & libc::SA_ONSTACK));
}

/// Runs `f` with the lock, and with all signals blocked: a handler may change signals, too.
fn locked<T>(f: impl FnOnce(&mut Vec<Handling>) -> T) -> T {
    let blocked = real::block_only(!kind::NEVER_BLOCKED);
    let result = f(&mut HANDLING.lock().unwrap_or_else(PoisonError::into_inner));
    real::block_only(blocked);
    result
}

#[cfg(test)]
mod tests;
