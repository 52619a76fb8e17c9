//! File descriptors that are kept open for nothing, to be given up when the process has used up all others.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// How many there are.
pub(crate) const SPARE_FILES: usize = 4;

/// Whether the process has given them up.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Whether the process has used up its file descriptors but for those that it has given up, which are for the control
/// socket.
pub(crate) fn are_given_up() -> bool {
    GIVEN_UP.load(Ordering::Relaxed)
}

/// The spare descriptors.
#[derive(Debug, Default)]
pub(crate) struct SpareFiles(Vec<OwnedFd>);

impl SpareFiles {
    /// Takes as many as are free, duplicates of `file`; whether these are all.
    pub(crate) fn take(&mut self, file: impl AsFd) -> bool {
        while self.0.len() < SPARE_FILES {
            match file.as_fd().try_clone_to_owned() {
                Ok(spare) => self.0.push(spare),
                Err(_) => return false,
            }
        }
        GIVEN_UP.store(false, Ordering::Relaxed);
        true
    }

    /// Gives them up, if no other descriptor is free. Only [`take`](Self::take) ends that.
    pub(crate) fn give_up_if_needed(&mut self, file: impl AsFd) {
        let is_free: io::Result<OwnedFd> = file.as_fd().try_clone_to_owned();
        if is_free.is_err() {
            GIVEN_UP.store(true, Ordering::Relaxed);
            self.0.clear();
        }
    }
}
