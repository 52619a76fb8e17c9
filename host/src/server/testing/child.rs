//! The test's program as an app process.
//!
//! A test has no `main` that it could change, so the work of a child process is done before `main`, by an initializer of the
//! program. Its first argument is another than that of [`run_child_process`](crate::run_child_process), so that a program
//! which only has this module linked in does what its `main` says.

use std::env;

use crate::library::preflight;
use crate::server::child::run_if_first_is;

const CHILD: &str = "--atoll-test-child";

/// Lets hosts of this test start processes.
pub(super) fn allow() {
    preflight::allow_children(CHILD);
}

// SAFETY: the section has functions with C's calling convention, which the C library calls before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static INITIALIZER: extern "C" fn() = run;

extern "C" fn run() {
    if env::args_os().nth(1).is_some_and(|first| first == CHILD) {
        // As Rust's standard library does before `main`.
        // SAFETY: nothing handles the signal.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        run_if_first_is(CHILD);
    }
}
