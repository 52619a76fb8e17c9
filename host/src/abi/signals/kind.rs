//! What is special about some signals.

use std::ffi::c_int;

use super::action::{SIGNALS, bit};

/// Signals that a thread causes by what it executes.
const FAULTS: u64 = bit(libc::SIGSEGV)
    | bit(libc::SIGBUS)
    | bit(libc::SIGFPE)
    | bit(libc::SIGILL)
    | bit(libc::SIGTRAP)
    | bit(libc::SIGSYS);

/// Signals for the thread on which they arrive, whatever their sender: faults, a write to a pipe that nobody reads, and
/// the clocks of profilers.
const OF_A_THREAD: u64 = FAULTS
    | bit(libc::SIGPIPE)
    | bit(libc::SIGXFSZ)
    | bit(libc::SIGXCPU)
    | bit(libc::SIGPROF)
    | bit(libc::SIGVTALRM);

/// Signals by which an operator or a terminal ends or stops the host: what they do to it, they do also when an app handles
/// them.
const OF_THE_HOST: u64 =
    bit(libc::SIGINT) | bit(libc::SIGTERM) | bit(libc::SIGHUP) | bit(libc::SIGQUIT) | bit(libc::SIGTSTP);

/// Signals that clocks, limits and descriptors send of which an app has asked for it, and that would end the process.
const OF_APPS: [c_int; 5] = [libc::SIGALRM, libc::SIGVTALRM, libc::SIGPROF, libc::SIGIO, libc::SIGXFSZ];

/// Signals that cannot be handled, or are libc's own.
const RESERVED: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP) | bit(32) | bit(33);

/// The signals that may come while a handler of the host's runs: faults, and those by which libc reaches its threads.
pub(super) const NEVER_BLOCKED: u64 = FAULTS | RESERVED;

/// Whether a handler can be set for this number.
pub(super) fn can_be_handled(signal: c_int) -> bool {
    (1..=SIGNALS as c_int).contains(&signal) && RESERVED & bit(signal) == 0
}

/// Signals that do nothing to the host, whether an app handles them or not.
pub(super) fn of_apps() -> impl Iterator<Item = c_int> {
    OF_APPS.into_iter()
}

/// The faults, and the signal of `abort`: they end the process unless someone handles them.
pub(super) fn fatal() -> impl Iterator<Item = c_int> {
    (1..=SIGNALS as c_int).filter(|&signal| is_fatal(signal))
}

pub(super) fn is_fatal(signal: c_int) -> bool {
    (FAULTS | bit(libc::SIGABRT)) & bit(signal) != 0
}

pub(super) fn is_fault(signal: c_int) -> bool {
    FAULTS & bit(signal) != 0
}

/// Whether a thread that continues after this fault causes it again. A breakpoint and a forbidden system call are behind it.
pub(super) fn is_repeated(signal: c_int) -> bool {
    is_fault(signal) && !matches!(signal, libc::SIGTRAP | libc::SIGSYS)
}

pub(super) fn is_of_a_thread(signal: c_int) -> bool {
    OF_A_THREAD & bit(signal) != 0
}

pub(super) fn is_of_the_host(signal: c_int) -> bool {
    OF_THE_HOST & bit(signal) != 0
}
