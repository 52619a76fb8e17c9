//! What an app takes from the process that outlives its library (threads, pthread keys, file descriptors), what it would
//! share with another library although it is its own (locks on files, variables of the environment, standard output), and what
//! would end the process.
//!
//! `export_app!` defines libc's functions for this in the library, so that its own calls, also those of the C code that is
//! linked into it, come here; the host is notified, and libc's function is called. The host waits for the threads
//! before it unloads the library, and gives the keys and descriptors back.
//!
//! The functions are hidden. A shared library that the app brings does not find them: it is loaded once for all apps, and
//! would be bound to those of the first one for good.

#[macro_use]
pub mod actions;
mod behind;
mod descriptors;
mod ending;
pub mod environment;
mod keys;
mod locks;
mod new_descriptors;
pub(crate) mod process;
pub mod registrations;
mod replacing;
pub(crate) mod signals;
pub mod stack;
pub(crate) mod streams;
mod threads;
pub mod types;
pub mod unwinder;

pub use descriptors::{close, fcntl, fcntl64, fdopen, fdopendir, pipe, pipe2, socketpair};
pub use ending::{__assert_fail, _Exit, _exit, abort, exit, quick_exit};
pub use environment::{clearenv, getenv, putenv, secure_getenv, setenv, unsetenv};
pub use keys::{pthread_key_create, pthread_key_delete};
pub use new_descriptors::*;
pub use registrations::{timer_create, timer_delete};
pub use replacing::{daemon, execv, execve, execvp, execvpe, fexecve};
pub use signals::{
    __sysv_signal, bsd_signal, gsignal, kill, pthread_kill, raise, sigaction, sigignore, siginterrupt,
    signal, sigset, ssignal, sysv_signal,
};
pub use streams::{isatty, write, writev};
pub use threads::pthread_create;

pub(crate) use keys::report_early_keys;
#[cfg(feature = "test")]
pub(crate) use signals::real_sigaction;

/// Looks up libc's functions, for a forked child: another thread may have been in the dynamic linker when it was made.
/// From then on it is known what a forked child is.
pub(crate) fn find_libc_functions() {
    process::note();
    descriptors::real::find_all();
    ending::real::find_all();
    environment::real::find_all();
    keys::real::find_all();
    new_descriptors::real::find_all();
    replacing::real::find_all();
    signals::real::find_all();
    streams::real::find_all();
    threads::real::find_all();
}
