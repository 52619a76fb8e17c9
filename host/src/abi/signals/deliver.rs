//! The handler of every signal that an app handles: the host's code, which decides who gets it.
//!
//! A signal for the whole process goes to the host's own handler, and is passed on to the threads that the generations
//! have for it. One for a thread goes to the generation that the thread runs for, right there. So an app's handler only
//! runs on the app's threads.
//!
//! Nothing here takes a lock or allocates.

use std::ffi::{c_int, c_void};

use super::action::{Action, Slot, bit, mask_of};
use super::host::{HOST, take_over};
use super::state::Signals;
use super::{kind, real, receiver, route};
use crate::abi::thread_end::asked;
use crate::abi::{current, fault};

/// As the kernel calls it.
type Handler = unsafe extern "C-unwind" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// A signal that has come.
struct Delivery {
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
}

/// What the kernel calls.
pub(super) unsafe extern "C" fn deliver(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: every thread has its own.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel gives a record, which is this call's.
    let record = unsafe { &mut *info };
    if asked::is_this(record) {
        // It comes back where the thread cannot end here.
        asked::end_if_waiting(context);
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
        return;
    }
    let passed_on = route::was_passed_on(record);
    let delivery = Delivery { signal, info, context };
    if passed_on {
        // Another thread may have got the number of one that has ended.
        if receiver::is_this_thread() {
            current::with(|context| delivery.to_generation(context.signals()));
        }
    } else if current::is_forked_child() {
        delivery.to_child();
    } else if kind::is_of_a_thread(signal) || record.si_code == libc::SI_TKILL {
        delivery.to_thread();
    } else {
        delivery.to_host();
        route::pass_on(signal, record);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

impl Delivery {
    /// The thread runs for a generation, or for the host. What is fatal and the generation does not handle is the host's.
    fn to_thread(&self) {
        let handled = current::with(|context| self.to_generation(context.signals()) || !self.is_of_thread());
        if handled != Some(true) {
            self.to_host();
        }
    }

    /// Whether the generation handles it.
    fn to_generation(&self, signals: &Signals) -> bool {
        let slot = signals.slots.get(self.signal);
        let action = slot.load();
        if action.is_handler() {
            if self.call(slot, action) {
                signals.handles(self.signal, false);
            }
            return true;
        }
        action.handler == libc::SIG_IGN && !self.is_fault()
    }

    fn to_host(&self) {
        let slot = HOST.get(self.signal);
        let action = slot.load();
        let ends = kind::is_of_the_host(self.signal) || kind::is_fatal(self.signal);
        // A handler of the host's that returns may leave the process alone when nothing happens again.
        let is_last = self.is_fault() || self.signal == libc::SIGABRT || action.handler == libc::SIG_DFL;
        if is_last && self.is_of_thread() && action.handler != libc::SIG_IGN {
            // SAFETY: the record is this delivery's.
            fault::write(self.signal, unsafe { &*self.info }, self.context);
        }
        if action.is_handler() {
            current::as_host(|| self.call(slot, action));
        } else if self.is_fault() || ends && action.handler == libc::SIG_DFL {
            self.by_default();
        }
    }

    /// A forked child is a process of the app's: what it has not changed is as the app has set it.
    fn to_child(&self) {
        let done = current::with_in_child(|context| self.to_generation(context.signals()));
        if done != Some(true) {
            self.by_default();
        }
    }

    /// Whether the thread would cause it again.
    fn is_fault(&self) -> bool {
        // SAFETY: the record is this delivery's.
        kind::is_fault(self.signal) && unsafe { (*self.info).si_code } > 0
    }

    /// Whether the thread has caused it, and it ends the process unless someone handles it.
    fn is_of_thread(&self) -> bool {
        // SAFETY: the record is this delivery's.
        let by_itself =
            || unsafe { (*self.info).si_code == libc::SI_TKILL && (*self.info).si_pid() == libc::getpid() };
        self.is_fault() || kind::is_fatal(self.signal) && by_itself()
    }

    /// Calls a handler; whether it was set for one time only.
    fn call(&self, slot: &Slot, action: Action) -> bool {
        // SAFETY: the record is this delivery's.
        let code = unsafe { (*self.info).si_code };
        let stopped = matches!(code, libc::CLD_STOPPED | libc::CLD_CONTINUED | libc::CLD_TRAPPED);
        if self.signal == libc::SIGCHLD && stopped && action.flags & libc::SA_NOCLDSTOP != 0 {
            return false;
        }
        let once = action.flags & libc::SA_RESETHAND != 0;
        if once && !slot.reset(action.handler) {
            // Another thread was faster.
            return false;
        }
        // SAFETY: the kernel gives the context of what was interrupted.
        let interrupted = mask_of(unsafe { &(*self.context.cast::<libc::ucontext_t>()).uc_sigmask });
        let deferred = if action.flags & libc::SA_NODEFER == 0 { bit(self.signal) } else { 0 };
        let before = real::block_only(interrupted | action.mask | deferred);
        // SAFETY: whoever set the handler vouches for it, and its library is loaded: the host's is always, and that of a
        // generation as long as a thread runs for it. One that takes the signal alone does not see the rest.
        unsafe {
            let handler: Handler = std::mem::transmute::<usize, Handler>(action.handler);
            handler(self.signal, self.info, self.context);
        }
        real::block_only(before);
        once
    }

    /// Does what the kernel does without a handler: mostly, ends the process.
    fn by_default(&self) {
        // SAFETY: the default is no function.
        unsafe { real::set(self.signal, Action::DEFAULT) };
        if self.is_fault() && kind::is_repeated(self.signal) {
            // The thread causes it again, now with the right registers for who looks at the core.
            return;
        }
        real::send_to_self(self.signal);
        let blocked = real::block_only(!bit(self.signal));
        // It was stopped and goes on, or the default is to do nothing.
        real::block_only(blocked);
        take_over(self.signal, deliver);
    }
}
