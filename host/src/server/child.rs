//! The processes in which a host runs its program again.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process;

use crate::abi::arguments;
use crate::child as app;
use crate::library::preflight::{self, child};
use crate::process::blank::APP;
use crate::process::trial::{self, SANDBOX};

/// Does the work of this process, if a host has started it for that; else it returns at once.
///
/// A host starts its own program again for apps with `"isolation": "process"`, and to open each library that is new to the
/// machine in a sandboxed process first. Call this at the beginning of `main`, before anything starts threads: a host in your
/// program does so only then.
///
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     atoll_host::run_child_process();
///     actix_web::rt::System::new().block_on(async {
///         let host = atoll_host::Host::builder("apps.json").start()?;
///         // …
///         host.close().await;
///         Ok(())
///     })
/// }
/// ```
pub fn run_child_process() {
    preflight::allow_children(child::CHILD);
    run_if_first_is(child::CHILD);
}

/// Does the work of this process, if its first argument is this one; else it returns.
pub(crate) fn run_if_first_is(argument: &str) {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let Some((first, rest)) = arguments.split_first().filter(|(first, _)| *first == argument) else { return };
    arguments::hide_arguments();
    let code = match rest.split_first() {
        Some((kind, rest)) if kind == OsStr::new(child::OPEN_LIBRARY) => child::run(rest),
        Some((kind, [])) if kind == OsStr::new(APP) => app::run(),
        Some((kind, [])) if kind == OsStr::new(SANDBOX) => trial::run(),
        _ => {
            eprintln!("{}: expected {}, {APP} or {SANDBOX}", first.display(), child::OPEN_LIBRARY);
            2
        }
    };
    process::exit(code);
}
