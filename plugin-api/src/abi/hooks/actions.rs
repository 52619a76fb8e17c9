//! libc's functions for signals, made of `sigaction`: for an app's library, and for the shared libraries that it brings,
//! whose calls come to functions of the host's program.

use std::ffi::c_int;
use std::fmt::Write;

use super::types::SignalAction;

/// Whose signals they are.
pub trait Actions {
    /// As `sigaction`.
    ///
    /// # Safety
    /// As for libc's function.
    unsafe fn sigaction(&self, signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int;

    /// Sends a signal to the calling thread.
    ///
    /// # Safety
    /// As for `raise`.
    unsafe fn send_to_self(&self, signal: c_int) -> c_int;

    /// Ends the generation, with the call that would have ended the process.
    fn end(&self, call: &str);

    /// Whether they are those of the whole process: a signal does what it does, as in a forked child.
    fn is_process(&self) -> bool;
}

/// Gives a macro those functions that are the same for all.
#[doc(hidden)]
#[macro_export]
macro_rules! __signal_functions {
    ($($macro:tt)*) => {
        $($macro)*! {
            fn signal(signal: c_int, handler: usize) -> usize;
            fn bsd_signal(signal: c_int, handler: usize) -> usize;
            fn ssignal(signal: c_int, handler: usize) -> usize;
            fn sysv_signal(signal: c_int, handler: usize) -> usize;
            fn __sysv_signal(signal: c_int, handler: usize) -> usize;
            fn sigset(signal: c_int, handler: usize) -> usize;
            fn sigignore(signal: c_int) -> c_int;
            fn siginterrupt(signal: c_int, interrupt: c_int) -> c_int;
            fn raise(signal: c_int) -> c_int;
            fn gsignal(signal: c_int) -> c_int;
        }
    };
}

/// What `sigset` takes to block the signal, and gives when it was blocked.
const SIG_HOLD: usize = 2;

fn action(handler: usize, flags: c_int) -> SignalAction {
    // SAFETY: all zeros are an action.
    let mut action: SignalAction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

/// What there is for a signal; `None`: it is none.
fn current(actions: &impl Actions, signal: c_int) -> Option<SignalAction> {
    let mut current = action(libc::SIG_DFL, 0);
    // SAFETY: it only asks.
    (unsafe { actions.sigaction(signal, std::ptr::null(), &mut current) } == 0).then_some(current)
}

/// Whether a function is called for a signal.
pub(crate) fn is_handled(actions: &impl Actions, signal: c_int) -> bool {
    let handler = current(actions, signal).map(|action| action.sa_sigaction);
    handler.is_some_and(|handler| ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler))
}

/// # Safety
/// As for `sigaction`.
unsafe fn set(actions: &impl Actions, signal: c_int, new: &SignalAction) -> usize {
    let mut old = action(libc::SIG_DFL, 0);
    // SAFETY: by the caller's contract.
    match unsafe { actions.sigaction(signal, new, &mut old) } {
        0 => old.sa_sigaction,
        _ => libc::SIG_ERR,
    }
}

/// `signal`, as BSD and glibc have it.
///
/// # Safety
/// As for libc's function.
pub unsafe fn signal(actions: &impl Actions, signal: c_int, handler: usize) -> usize {
    // SAFETY: by the caller's contract.
    unsafe { set(actions, signal, &action(handler, libc::SA_RESTART)) }
}

/// As [`signal`].
///
/// # Safety
/// As for libc's function.
pub unsafe fn bsd_signal(actions: &impl Actions, signal: c_int, handler: usize) -> usize {
    // SAFETY: by the caller's contract.
    unsafe { self::signal(actions, signal, handler) }
}

/// As [`signal`].
///
/// # Safety
/// As for libc's function.
pub unsafe fn ssignal(actions: &impl Actions, signal: c_int, handler: usize) -> usize {
    // SAFETY: by the caller's contract.
    unsafe { self::signal(actions, signal, handler) }
}

/// `sysv_signal`: for one time, with nothing blocked meanwhile.
///
/// # Safety
/// As for libc's function.
pub unsafe fn sysv_signal(actions: &impl Actions, signal: c_int, handler: usize) -> usize {
    // SAFETY: by the caller's contract.
    unsafe { set(actions, signal, &action(handler, libc::SA_RESETHAND | libc::SA_NODEFER)) }
}

/// As [`sysv_signal`]; what `signal` becomes where a C program asks for strict ISO C.
///
/// # Safety
/// As for libc's function.
pub unsafe fn __sysv_signal(actions: &impl Actions, signal: c_int, handler: usize) -> usize {
    // SAFETY: by the caller's contract.
    unsafe { sysv_signal(actions, signal, handler) }
}

/// `sigset`: a handler, with the signal unblocked; or the signal blocked.
///
/// # Safety
/// As for libc's function.
pub unsafe fn sigset(actions: &impl Actions, signal: c_int, handler: usize) -> usize {
    let Some(before) = current(actions, signal) else { return libc::SIG_ERR };
    let how = if handler == SIG_HOLD { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    // SAFETY: the sets live through the calls; for the rest, by the caller's contract.
    unsafe {
        let (mut this, mut blocked): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
        libc::sigaddset(&mut this, signal);
        if handler != SIG_HOLD && set(actions, signal, &action(handler, 0)) == libc::SIG_ERR {
            return libc::SIG_ERR;
        }
        libc::pthread_sigmask(how, &this, &mut blocked);
        if libc::sigismember(&blocked, signal) == 1 { SIG_HOLD } else { before.sa_sigaction }
    }
}

/// `sigignore`.
///
/// # Safety
/// As for libc's function.
pub unsafe fn sigignore(actions: &impl Actions, signal: c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { actions.sigaction(signal, &action(libc::SIG_IGN, 0), std::ptr::null_mut()) }
}

/// `siginterrupt`.
///
/// # Safety
/// As for libc's function.
pub unsafe fn siginterrupt(actions: &impl Actions, signal: c_int, interrupt: c_int) -> c_int {
    let Some(mut action) = current(actions, signal) else { return -1 };
    if interrupt == 0 {
        action.sa_flags |= libc::SA_RESTART;
    } else {
        action.sa_flags &= !libc::SA_RESTART;
    }
    // SAFETY: by the caller's contract.
    unsafe { actions.sigaction(signal, &action, std::ptr::null_mut()) }
}

/// `raise`.
///
/// # Safety
/// As for libc's function.
pub unsafe fn raise(actions: &impl Actions, signal: c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { send(actions, "raise", signal, || actions.send_to_self(signal)) }
}

/// As [`raise`].
///
/// # Safety
/// As for libc's function.
pub unsafe fn gsignal(actions: &impl Actions, signal: c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { raise(actions, signal) }
}

/// `kill`, which is `real` for other processes.
///
/// # Safety
/// As for libc's function.
pub unsafe fn kill(
    actions: &impl Actions,
    process: c_int,
    signal: c_int,
    real: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: no preconditions.
    if process != unsafe { libc::getpid() } || actions.is_process() {
        return real();
    }
    // SAFETY: by the caller's contract.
    unsafe { send(actions, "kill", signal, || actions.send_to_self(signal)) }
}

/// Sends a signal by `real` if there is a handler for it; does otherwise what it would do to a process.
///
/// # Safety
/// As for `raise`.
pub unsafe fn send(
    actions: &impl Actions,
    function: &'static str,
    signal: c_int,
    real: impl FnOnce() -> c_int,
) -> c_int {
    if signal == 0 || actions.is_process() {
        return real();
    }
    let Some(current) = current(actions, signal) else { return real() };
    match current.sa_sigaction {
        libc::SIG_DFL if does_nothing(signal) => 0,
        libc::SIG_DFL => {
            let mut call = Call { text: [0; 40], length: 0 };
            // What does not fit is left out.
            let _ = write!(call, "{function} of {}", Name(signal));
            actions.end(call.as_str());
            real()
        }
        libc::SIG_IGN => 0,
        _ => real(),
    }
}

/// Whether a signal without a handler does nothing to an app: those that do nothing to a process, and those that would stop
/// it, as the host cannot stand still for one app.
fn does_nothing(signal: c_int) -> bool {
    let ignored = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    ignored.contains(&signal) || stops.contains(&signal)
}

/// A text that needs no memory: it is written in handlers, too.
struct Call {
    text: [u8; 40],
    length: usize,
}

impl Call {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or("a signal")
    }
}

impl Write for Call {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let place = self.text[self.length..].get_mut(..text.len()).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

/// A signal's name.
struct Name(c_int);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            libc::SIGHUP => "SIGHUP",
            libc::SIGINT => "SIGINT",
            libc::SIGQUIT => "SIGQUIT",
            libc::SIGILL => "SIGILL",
            libc::SIGTRAP => "SIGTRAP",
            libc::SIGABRT => "SIGABRT",
            libc::SIGBUS => "SIGBUS",
            libc::SIGFPE => "SIGFPE",
            libc::SIGKILL => "SIGKILL",
            libc::SIGUSR1 => "SIGUSR1",
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGUSR2 => "SIGUSR2",
            libc::SIGPIPE => "SIGPIPE",
            libc::SIGALRM => "SIGALRM",
            libc::SIGTERM => "SIGTERM",
            other => return write!(f, "signal {other}"),
        })
    }
}
