//! How a worker that sleeps in an event loop of its own, such as tokio's, learns that something has come: an eventfd,
//! which is written only when the worker has said that it sleeps.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// A port's doorbell. It is made when the app asks for it.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    eventfd: OnceLock<Option<OwnedFd>>,
    asleep: AtomicBool,
}

impl Doorbell {
    /// The eventfd; negative when the system has none to give.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.eventfd.get_or_init(make).as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Notes that the worker sleeps, if nothing is there for it; whether it may.
    pub(crate) fn sleep(&self, nothing_there: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        // What came before the store has not rung, so it has to be looked for after it.
        let may = nothing_there();
        if !may {
            self.asleep.store(false, Ordering::SeqCst);
        }
        may
    }

    /// Wakes the worker, if it sleeps.
    pub(crate) fn ring(&self) {
        if !self.asleep.load(Ordering::SeqCst) || !self.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Some(Some(eventfd)) = self.eventfd.get() {
            let one = 1_u64;
            // It fails only when the counter is full, and then it is readable already.
            // SAFETY: the descriptor is open, and the 8 bytes are those of `one`.
            unsafe { libc::write(eventfd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }
}

fn make() -> Option<OwnedFd> {
    // SAFETY: no preconditions.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    // SAFETY: it has just been made, and nothing else owns it.
    (descriptor >= 0).then(|| unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_rung(doorbell: &Doorbell) -> bool {
        let mut count = 0_u64;
        // SAFETY: the descriptor is open, and `count` has room for 8 bytes.
        unsafe { libc::read(doorbell.descriptor(), (&raw mut count).cast(), 8) == 8 }
    }

    #[test]
    fn it_rings_once_for_one_that_sleeps() {
        let doorbell = Doorbell::default();
        doorbell.ring();
        assert!(!is_rung(&doorbell), "nobody slept");
        assert!(doorbell.sleep(|| true));
        doorbell.ring();
        doorbell.ring();
        assert!(is_rung(&doorbell) && !is_rung(&doorbell));
        assert!(!doorbell.sleep(|| false), "something is there");
        doorbell.ring();
        assert!(!is_rung(&doorbell));
    }
}
