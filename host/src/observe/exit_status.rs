//! How a process has ended, for people.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// A signal with its name, or an exit code.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}{}", name(signal)),
        (None, code) => format!("exit code {}", code.unwrap_or_default()),
    }
}

/// The names of the signals that a program gets by its own faults.
fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGTRAP => " (SIGTRAP)",
        libc::SIGSYS => " (SIGSYS)",
        libc::SIGKILL => " (SIGKILL)",
        _ => "",
    }
}
