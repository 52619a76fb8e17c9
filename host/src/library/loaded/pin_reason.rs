//! Why a retired library is kept in the process.

use std::ffi::c_int;

use crate::abi::abort::Abort;

/// Why a retired library is kept in the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinReason {
    /// Its threads are still running: their names.
    Threads(Vec<String>),
    /// It called `abort` or `exit`: the thread that did never ends.
    Aborted(Abort),
    /// The handler of this signal is in it, and was set where the host cannot see it.
    SignalHandler(c_int),
    /// Threads run that were made past `pthread_create` while it was loaded, and may run its code: their names.
    Strangers(Vec<String>),
    /// Workers do not come back from the app's code: where each is, and the names of its running threads, which they
    /// may be waiting for.
    Workers(Vec<String>, Vec<String>),
    /// A thread forks, and may call what the library has registered with `pthread_atfork`.
    Fork,
    /// The dynamic linker could not close it.
    Close(String),
    /// It was closed, and the dynamic linker kept it.
    StillMapped,
    /// Its owner is lost, so it can no longer be closed.
    Lost,
}

impl std::fmt::Display for PinReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Threads(names) => write!(f, "its threads are still running: {}", names.join(", ")),
            Self::Aborted(abort) => abort.fmt(f),
            Self::SignalHandler(signal) => {
                write!(f, "it installed a handler for signal {signal} with a direct system call")
            }
            Self::Strangers(names) => write!(
                f,
                "threads that were not created with pthread_create and may run its code are still running: {}",
                names.join(", ")
            ),
            Self::Workers(workers, threads) => {
                f.write_str(&workers.join(", "))?;
                match threads.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; its threads are still running: {}", threads.join(", ")),
                }
            }
            Self::Fork => f.write_str("a thread is in `fork`, which may call its functions"),
            Self::Close(error) => write!(f, "dlclose failed: {error}"),
            Self::StillMapped => f.write_str(
                "dlclose kept it mapped (linked with -z nodelete, or a thread-local is still in use)",
            ),
            Self::Lost => f.write_str("the thread to close it is gone"),
        }
    }
}
