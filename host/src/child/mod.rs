//! What an app process does: it opens the library that its host sends, runs the workers, and ends with its host.

pub(crate) mod denials;
mod orders;
mod reports;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::stdio::dup2_stdin;

/// Signals that a terminal or a service manager sends to all processes of a host. The host stops its app processes itself.
const OF_THE_HOST: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Does the work of an app process, until its host has it end or is gone; the exit code.
pub(crate) fn run() -> i32 {
    match obey() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("an app process ends: {error}");
            1
        }
    }
}

fn obey() -> io::Result<()> {
    let control = take_control()?;
    // It ends with the thread of the host that has started it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for signal in OF_THE_HOST {
        // A handler that only notes it: to ignore the signal would be inherited by what the app starts.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    orders::obey(&control)
}

/// Takes the socket to the host, which is standard input.
fn take_control() -> io::Result<Arc<UnixStream>> {
    let control: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(Arc::new(control.into()))
}
