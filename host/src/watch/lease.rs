//! Whether anyone has a file open for writing. All of the watcher's `unsafe` is here.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use libc::{EAGAIN, F_RDLCK, F_SETLEASE, F_UNLCK, SIGURG, c_int};

/// Missing from `libc` for most Linux targets; from the kernel's `asm-generic/fcntl.h`.
const F_SETSIG: c_int = 10;

/// Whether a file is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writers {
    /// No process has it open for writing.
    None,
    /// Somebody has, or has it mapped writable.
    Some,
    /// The kernel does not say: the file belongs to another user, or its file system knows no leases.
    Unknown,
}

/// Finds out whether anyone has `file` open for writing; `file` itself must be open for reading only.
///
/// This takes a read lease and gives it back at once: the kernel refuses one while there is a writer. A
/// writer that opens the file in between waits for the microseconds until the lease is given back (or gets
/// `EWOULDBLOCK`, if it opens without waiting).
pub(crate) fn writers(file: &File) -> Writers {
    let descriptor = file.as_raw_fd();
    // Such a writer also makes the kernel send the lease's holder a signal, and the default one, SIGIO, would
    // end the process. SIGURG is ignored unless somebody asks for it.
    if control(descriptor, F_SETSIG, SIGURG).is_err() {
        return Writers::Unknown;
    }
    match control(descriptor, F_SETLEASE, F_RDLCK) {
        Ok(()) => {
            // It cannot fail for a lease that is held, and closing the file would end it too.
            let _ = control(descriptor, F_SETLEASE, F_UNLCK);
            Writers::None
        }
        Err(error) if error.raw_os_error() == Some(EAGAIN) => Writers::Some,
        Err(_) => Writers::Unknown,
    }
}

fn control(descriptor: RawFd, command: c_int, argument: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, as `writers` borrows its file, and the two commands used here take an
    // int by value: no memory of ours is read or written.
    match unsafe { libc::fcntl(descriptor, command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Writes a file as [`fs::write`](std::fs::write) does, and returns when no process has it open for writing.
///
/// A process that another test starts at this moment has it open too, until it executes its program.
#[cfg(test)]
pub(crate) fn write_and_release(path: &std::path::Path, contents: impl AsRef<[u8]>) {
    std::fs::write(path, contents).unwrap();
    wait_for_writers(path);
}

/// Waits until no process has this file open for writing.
#[cfg(test)]
pub(crate) fn wait_for_writers(path: &std::path::Path) {
    let begun = std::time::Instant::now();
    let file = File::open(path).unwrap();
    while writers(&file) == Writers::Some {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{} is being written", path.display());
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn sees_a_writer_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let writer = File::create(&path).unwrap();
        assert_eq!(writers(&File::open(&path).unwrap()), Writers::Some);
        drop(writer);
        wait_for_writers(&path);
        assert_eq!(writers(&File::open(&path).unwrap()), Writers::None);
        let _reader = File::open(&path).unwrap();
        assert_eq!(writers(&File::open(&path).unwrap()), Writers::None, "readers do not count");
    }

    #[test]
    fn says_so_when_there_are_no_leases() {
        assert_eq!(writers(&File::open("/dev/null").unwrap()), Writers::Unknown);
    }

    /// With the default signal this ends the process within a fraction of a second.
    #[test]
    fn writers_that_come_while_the_lease_is_held_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    OpenOptions::new().write(true).open(&path).unwrap();
                }
            });
            let mut free = 0;
            let mut busy = 0;
            while free < 2000 || busy < 2000 {
                match writers(&File::open(&path).unwrap()) {
                    Writers::None => free += 1,
                    Writers::Some => busy += 1,
                    Writers::Unknown => break,
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
