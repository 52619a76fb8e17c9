//! Where the record of a fault goes: a file that is open before it is needed.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI32, Ordering};

use super::unwind;

/// How many hosts of one process have a record.
pub(crate) const SINKS: usize = 8;

/// The name that the crashed library gets in the folder of a record.
pub(crate) const LIBRARY: &std::ffi::CStr = c"library.so";

/// No file.
const NONE: c_int = -1;

static FILES: [AtomicI32; SINKS] = [const { AtomicI32::new(NONE) }; SINKS];
static FOLDERS: [AtomicI32; SINKS] = [const { AtomicI32::new(NONE) }; SINKS];

/// The list of the process's mappings, open: a process without free descriptors can still read it.
static MAPS: AtomicI32 = AtomicI32::new(NONE);

/// Has faults recorded in a file until it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    slot: usize,
    file: File,
    folder: Option<File>,
}

impl Sink {
    /// Has the next fault recorded in this file. The library that causes it is linked into the folder as well, if there is one.
    ///
    /// # Errors
    /// The process has [too many](SINKS) already, or `/proc` is not there.
    pub(crate) fn new(file: File, folder: Option<File>) -> io::Result<Self> {
        static LOCK: Mutex<()> = Mutex::new(());
        let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        prepare()?;
        let free = FILES.iter().position(|slot| slot.load(Ordering::SeqCst) == NONE);
        let slot = free.ok_or_else(|| io::Error::other(format!("more than {SINKS} hosts in one process")))?;
        FOLDERS[slot].store(folder.as_ref().map_or(NONE, AsRawFd::as_raw_fd), Ordering::SeqCst);
        FILES[slot].store(file.as_raw_fd(), Ordering::SeqCst);
        Ok(Self { slot, file, folder })
    }

    /// The descriptors that have to stay open for it.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let folder = self.folder.as_ref().map(AsRawFd::as_raw_fd);
        [self.file.as_raw_fd(), maps()].into_iter().chain(folder)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        FILES[self.slot].store(NONE, Ordering::SeqCst);
        FOLDERS[self.slot].store(NONE, Ordering::SeqCst);
    }
}

/// Does ahead what is needed of the process for any [`Sink`].
///
/// # Errors
/// `/proc` is not there.
pub(crate) fn prepare() -> io::Result<()> {
    static LOCK: Mutex<()> = Mutex::new(());
    let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if MAPS.load(Ordering::SeqCst) == NONE {
        unwind::prepare();
        MAPS.store(File::open("/proc/self/maps")?.into_raw_fd(), Ordering::SeqCst);
    }
    Ok(())
}

/// The open files; `None`: there is none.
pub(super) fn files() -> Option<[c_int; SINKS]> {
    let files = FILES.each_ref().map(|file| file.load(Ordering::SeqCst));
    files.iter().any(|file| *file != NONE).then_some(files)
}

/// The folders of those files.
pub(super) fn folders() -> impl Iterator<Item = c_int> {
    FOLDERS.iter().map(|folder| folder.load(Ordering::SeqCst)).filter(|folder| *folder != NONE)
}

/// The list of the process's mappings.
pub(super) fn maps() -> c_int {
    MAPS.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_so_many() {
        let sink = || Sink::new(tempfile::tempfile().unwrap(), Some(File::open("/").unwrap()));
        let mut all: Vec<_> = std::iter::from_fn(|| sink().ok()).collect();
        assert!(!all.is_empty() && all.len() <= SINKS);
        assert_eq!(sink().unwrap_err().to_string(), format!("more than {SINKS} hosts in one process"));
        all.pop();
        all.push(sink().unwrap());
        assert!(files().is_some());
    }
}
