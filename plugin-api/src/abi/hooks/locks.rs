//! Locks on parts of files (`fcntl` with `F_SETLK`), which POSIX has belong to a process: two generations of an app,
//! each with its own SQLite, would not see each other's, and writing at the same time would ruin the database.
//!
//! So they are made to belong to the library instead, as if it were a process: they are asked for as locks of an open
//! file (`F_OFD_SETLK`), for each file of the one that the library has asked for first. As with a process, its locks on
//! a file go when that one is closed.
//!
//! A forked child keeps out of it: it has none of its parent's locks, and must not wait for what another thread held.

use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::process;

/// A file that the library has locked, or asked whether it is.
struct Locked {
    device: libc::dev_t,
    inode: libc::ino_t,
    descriptor: c_int,
}

static LOCKED: Mutex<Vec<Locked>> = Mutex::new(Vec::new());

/// How many there are in `LOCKED`: most libraries have none, and close files at no extra cost.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The table; `None` in a forked child.
fn locked() -> Option<MutexGuard<'static, Vec<Locked>>> {
    (!process::is_forked_child()).then(|| LOCKED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Locks, unlocks or asks, if that is the command and the library has its own locks; `None`: that is for libc.
///
/// # Safety
/// As for libc's `fcntl`.
pub(super) unsafe fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> Option<c_int> {
    let of_open_file = match command {
        libc::F_GETLK => libc::F_OFD_GETLK,
        libc::F_SETLK => libc::F_OFD_SETLK,
        libc::F_SETLKW => libc::F_OFD_SETLKW,
        _ => return None,
    };
    let asked = ptr::with_exposed_provenance_mut::<libc::flock>(argument);
    let holder = holder(&mut *locked()?, descriptor)?;
    // SAFETY: by the caller's contract `asked` is a `flock`, to be written to where the command is to ask. The one in its
    // place is, too; a lock of an open file has no process.
    unsafe {
        let mut lock = libc::flock { l_pid: 0, ..*asked };
        let result =
            super::descriptors::real::fcntl(holder, of_open_file, (&raw mut lock).expose_provenance());
        if command == libc::F_GETLK {
            *asked = lock;
        }
        Some(result)
    }
}

/// Which of the library's descriptors has the locks on this one's file.
fn holder(locked: &mut Vec<Locked>, descriptor: c_int) -> Option<c_int> {
    // SAFETY: all zeros are a `stat`, and `fstat` writes to nothing else.
    let (known, stat) = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        (libc::fstat(descriptor, &mut stat) == 0, stat)
    };
    if !known {
        return None;
    }
    // A number that was closed unseen may have become another file's.
    locked.retain(|file| {
        file.descriptor != descriptor || (file.device, file.inode) == (stat.st_dev, stat.st_ino)
    });
    let same = locked.iter_mut().find(|file| (file.device, file.inode) == (stat.st_dev, stat.st_ino));
    let holder = match same {
        // One that was opened for reading only cannot have locks for writing.
        Some(file) if is_writable(file.descriptor) || !is_writable(descriptor) => file.descriptor,
        Some(file) => {
            file.descriptor = descriptor;
            descriptor
        }
        None => {
            locked.push(Locked { device: stat.st_dev, inode: stat.st_ino, descriptor });
            descriptor
        }
    };
    COUNT.store(locked.len(), Ordering::Relaxed);
    Some(holder)
}

fn is_writable(descriptor: c_int) -> bool {
    // SAFETY: any number will do.
    let flags = unsafe { super::descriptors::real::fcntl(descriptor, libc::F_GETFL, 0) };
    flags >= 0 && flags & libc::O_ACCMODE != libc::O_RDONLY
}

/// A descriptor is closed, and with it the locks that it has.
pub(super) fn closed(descriptor: c_int) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(mut locked) = locked() {
        locked.retain(|file| file.descriptor != descriptor);
        COUNT.store(locked.len(), Ordering::Relaxed);
    }
}
