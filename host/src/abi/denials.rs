//! What the system denies to the code of this process, where a sandbox may be the reason.

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use atoll_plugin::abi::LogRecord;

use crate::abi::current;
use crate::abi::library_context::LibraryContext;

/// What the code of this process has attempted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Attempt {
    /// To open a file to read it, or a folder.
    Read(PathBuf),
    /// To open a file to write to it, or to create, rename or remove it.
    Write(PathBuf),
    /// To make a socket of this family and type: `AF_INET`, `SOCK_STREAM`.
    Socket(i32, i32),
    /// To connect to a TCP port.
    Connect(u16),
    /// To listen on a TCP port.
    Bind(u16),
    /// To execute another program.
    Execute,
    /// To look a host name up.
    Resolve,
}

type Observer = Box<dyn Fn(Attempt) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Calls `observer` for each attempt that is denied from now on, on the thread that has made it. Only the first one counts.
pub(crate) fn observe(observer: impl Fn(Attempt) + Send + Sync + 'static) {
    // The first one stays.
    let _ = OBSERVER.set(Box::new(observer));
}

/// Reports an attempt that has failed with this error number, if it was denied, or if an earlier generation may have what was
/// asked for.
pub(super) fn failed(error: i32, attempt: impl FnOnce() -> Option<Attempt>) {
    if error == libc::EADDRINUSE {
        if let Some(Attempt::Bind(port)) = attempt() {
            current::with(|context| warn_of_port(context, port));
        }
        return;
    }
    let Some(observer) = OBSERVER.get() else { return };
    // A forked child may do little more than execute another program.
    if matches!(error, libc::EACCES | libc::EPERM) && !current::is_forked_child() {
        attempt().into_iter().for_each(observer);
    }
}

/// Warns that a port is not free, to a generation that has replaced another one.
fn warn_of_port(context: &LibraryContext, port: u16) {
    if context.generation() == 1 {
        return;
    }
    let message = format!(
        "TCP port {port} is in use; if the generation before this one listens on it, set \"reload\": \"stop-first\" for the app"
    );
    let (level, line) = (log::Level::Warn as u8, line!());
    let [target, file, message] = [module_path!(), file!(), &message].map(Into::into);
    context.reports().log(&LogRecord { level, line, target, file, message, ..LogRecord::default() });
}

/// The number of the error of the last call of libc's on this thread.
pub(super) fn last_error() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
