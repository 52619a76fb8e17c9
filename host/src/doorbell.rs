//! How a worker that sleeps learns that something has come: it waits here, or in an event loop of its own, such as
//! tokio's, for an eventfd. Neither costs a system call unless the worker has said that it sleeps.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A port's doorbell.
#[derive(Debug, Default)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
    door: Mutex<()>,
    bell: Condvar,
    /// Made when the app asks for it.
    eventfd: OnceLock<Option<OwnedFd>>,
}

impl Doorbell {
    /// Waits until it rings, at most for `timeout`. Returns at once if something is there; also without a reason.
    pub(crate) fn wait(&self, timeout: Option<Duration>, nothing_there: impl FnOnce() -> bool) {
        // Held until the worker waits, so that what rings from now on finds it waiting.
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.sleep(nothing_there) {
            return;
        }
        match timeout {
            None => drop(self.bell.wait(door)),
            Some(timeout) => drop(self.bell.wait_timeout(door, timeout)),
        }
    }

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

    /// Whether it has to be rung.
    pub(crate) fn is_awaited(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Wakes the worker, if it sleeps.
    pub(crate) fn ring(&self) {
        if !self.is_awaited() || !self.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        drop(self.door.lock());
        self.bell.notify_all();
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
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn is_rung(doorbell: &Doorbell) -> bool {
        let mut count = 0_u64;
        // SAFETY: the descriptor is open, and `count` has room for 8 bytes.
        unsafe { libc::read(doorbell.descriptor(), (&raw mut count).cast(), 8) == 8 }
    }

    #[test]
    fn whoever_waits_is_woken_and_nothing_is_missed() {
        let doorbell = Doorbell::default();
        let sent = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                for taken in 0..1000 {
                    while sent.load(Ordering::SeqCst) == taken {
                        doorbell.wait(None, || sent.load(Ordering::SeqCst) == taken);
                    }
                }
            });
            while !waiter.is_finished() {
                sent.fetch_add(1, Ordering::SeqCst);
                doorbell.ring();
                std::thread::yield_now();
            }
        });
        let begun = std::time::Instant::now();
        doorbell.wait(Some(Duration::from_millis(1)), || true);
        assert!(begun.elapsed() < Duration::from_secs(10));
        doorbell.wait(None, || false);
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
