//! Working directories: on threads of the host, each generation has one that only its threads share.

use std::env;
use std::io;
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// What to do where threads cannot have a working directory.
pub const REMEDY: &str = "allow the system call `unshare`: in Docker by a seccomp profile that has it, or \
    `--security-opt seccomp=unconfined`; or use `\"isolation\": \"process\"`";

/// Runs `spawn` so that the threads which it starts share a working directory, a root and a umask with each other and with
/// those that they start, and with no other thread. Where the system refuses that, they have those of the host.
pub(crate) fn within<T: Send>(folder: &Path, spawn: impl FnOnce() -> T + Send) -> T {
    let spawn = Mutex::new(Some(spawn));
    let take = || spawn.lock().unwrap_or_else(PoisonError::into_inner).take();
    let work = || {
        if let Err(error) = enter(folder) {
            report(folder, &error);
        }
        take().map(|spawn| spawn())
    };
    let spawned = thread::scope(|scope| {
        let thread =
            thread::Builder::new().name("working directory".to_owned()).spawn_scoped(scope, work).ok()?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    // Without a thread for it, there is probably none for a worker, which reports that.
    spawned.or_else(|| take().map(|spawn| spawn())).expect("one of both has taken it")
}

/// Gives the calling thread a working directory that it shares with no other thread yet.
fn enter(folder: &Path) -> Result<(), Refused> {
    unshare().map_err(Refused::Unshare)?;
    env::set_current_dir(folder).map_err(Refused::Folder)
}

fn unshare() -> io::Result<()> {
    // SAFETY: the calling thread gives up only what it shares of the file system's state, of which nothing is in memory.
    Ok(unsafe { unshare_unsafe(UnshareFlags::FS) }?)
}

/// Why a thread keeps the host's working directory.
enum Refused {
    Unshare(io::Error),
    Folder(io::Error),
}

fn report(folder: &Path, refused: &Refused) {
    static ONCE: Once = Once::new();
    match refused {
        Refused::Unshare(error) => ONCE.call_once(|| {
            log::warn!("apps on threads share the host's working directory, because `unshare` fails ({error}); {REMEDY}");
        }),
        Refused::Folder(error) => {
            log::warn!("cannot change to the working directory {}: {error}; the host's is used", folder.display());
        }
    }
}

/// Whether threads of this process can have a working directory.
///
/// # Errors
/// The system's.
pub fn try_working_directory() -> io::Result<()> {
    let thread = thread::Builder::new().name("working directory".to_owned()).spawn(unshare)?;
    thread.join().unwrap_or_else(|_panic| Err(io::Error::other("the thread panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_another_working_directory_than_the_process() {
        let before = env::current_dir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let started = within(&path, || thread::spawn(|| thread::spawn(env::current_dir).join().unwrap()));
        assert_eq!(started.join().unwrap().unwrap(), path);
        assert_eq!(env::current_dir().unwrap(), before);
        try_working_directory().unwrap();
    }
}
