//! An app process that knows no app yet.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::library::preflight::child_argument;
use crate::process::control::{self, Order};
use crate::sandbox::Policy;

/// The second argument of an app process, behind the [first one](child_argument).
pub(crate) const APP: &str = "app";

/// An app process that waits for its app. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Blank {
    pub(crate) child: Child,
    pub(crate) control: UnixStream,
    /// For policies of which [shape](Policy::shape) it has made the sandbox ready; `None`: for apps without one.
    pub(crate) shape: Option<Policy>,
}

impl Blank {
    /// Starts this program again, and has it make the sandbox ready for policies of this [shape](Policy::shape), if any. It ends
    /// with the calling thread.
    ///
    /// # Errors
    /// The system has no process or no descriptors for it, or the program cannot be one.
    pub(crate) fn start(shape: Option<Policy>) -> io::Result<Self> {
        let no_children =
            "this program does not call `atoll_host::run_child_process()` at the beginning of `main`";
        let argument = child_argument().ok_or_else(|| io::Error::other(no_children))?;
        let (control, theirs) = UnixStream::pair()?;
        // Also when the file of this program has been replaced.
        let child = Command::new("/proc/self/exe")
            .args([argument, APP])
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Signals from a terminal are the host's.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        control::send_with(&control, &Order::Prepare(shape.clone().map(Box::new)), &[])?;
        Ok(Self { child, control, shape })
    }

    /// Whether it still waits.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}
