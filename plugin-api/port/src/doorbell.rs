//! Wakes sleeping workers: they wait here, or in their own event loop, such as tokio's, for an eventfd. Neither costs a
//! system call unless a worker has announced that it sleeps.
//!
//! An app may use its port from any number of threads, and each of them may sleep.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::Duration;

use super::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, PoisonError};

/// A port's doorbell.
#[derive(Debug, Default)]
pub struct Doorbell {
    /// Whether anything sleeps, for those who ring: changed under the lock of `door` only, read without it.
    awaited: AtomicBool,
    door: Mutex<Door>,
    bell: Condvar,
    /// Made when the app asks for it.
    eventfd: OnceLock<Option<OwnedFd>>,
}

/// What sleeps and was not rung for.
#[derive(Debug, Default)]
struct Door {
    /// How many threads wait for the bell.
    threads: usize,
    /// Whether event loops wait for the eventfd.
    loops: bool,
    /// How often it was rung for something that slept.
    rings: u64,
}

impl Doorbell {
    /// Waits until it rings, at most for `timeout`. Returns at once if something is there; also without a reason.
    pub(crate) fn wait(&self, timeout: Option<Duration>, nothing_there: impl FnOnce() -> bool) {
        // Held until the thread waits, so that what rings from now on finds it waiting.
        let mut door = self.door();
        door.threads += 1;
        self.update(&door);
        let rings = door.rings;
        // What came before the update has not rung, so it has to be looked for after it.
        if nothing_there() {
            door = match timeout {
                None => self.bell.wait(door).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    self.bell.wait_timeout(door, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        // A ring has counted it out already.
        if door.rings == rings {
            door.threads -= 1;
            self.update(&door);
        }
    }

    /// The eventfd; negative when the system has none to give.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.eventfd.get_or_init(make).as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    /// Notes that an event loop sleeps until the eventfd rings, if nothing is there for it; whether it may.
    pub(crate) fn sleep(&self, nothing_there: impl FnOnce() -> bool) -> bool {
        let mut door = self.door();
        // Another loop may sleep already.
        let before = door.loops;
        door.loops = true;
        self.update(&door);
        let may = nothing_there();
        if !may {
            door.loops = before;
            self.update(&door);
        }
        may
    }

    /// Whether it has to be rung.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    /// Wakes all that sleep.
    pub(crate) fn ring(&self) {
        if !self.is_awaited() {
            return;
        }
        let mut door = self.door();
        let (threads, loops) = (door.threads > 0, door.loops);
        (door.threads, door.loops) = (0, false);
        door.rings += 1;
        self.update(&door);
        drop(door);
        if threads {
            self.bell.notify_all();
        }
        if loops && let Some(Some(eventfd)) = self.eventfd.get() {
            let one = 1_u64;
            // It fails only when the counter is full, and then it is readable already.
            // SAFETY: the descriptor is open, and the 8 bytes are those of `one`.
            unsafe { libc::write(eventfd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
        }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, door: &Door) {
        self.awaited.store(door.threads > 0 || door.loops, Ordering::SeqCst);
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
    fn a_loop_that_finds_something_does_not_take_the_ring_of_one_that_sleeps() {
        let doorbell = Doorbell::default();
        assert!(!is_rung(&doorbell), "it has an eventfd");
        assert!(doorbell.sleep(|| true));
        assert!(!doorbell.sleep(|| false));
        doorbell.wait(None, || false);
        doorbell.wait(Some(Duration::from_millis(1)), || true);
        assert!(doorbell.is_awaited());
        doorbell.ring();
        assert!(is_rung(&doorbell) && !doorbell.is_awaited());
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
