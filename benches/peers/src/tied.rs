//! Child processes that do not outlive their parent, however it ends.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Has the kernel end the process of this command when the thread ends that starts it.
pub(crate) fn tied(command: &mut Command) -> &mut Command {
    let tie = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec the closure makes one system call, and allocates nothing.
    unsafe { command.pre_exec(tie) }
}
