//! Forks, and libraries that are closed.
//!
//! A thread that forks calls what all libraries have registered with `pthread_atfork`, those of other apps too, and glibc
//! does not hold its lock while such a function runs. So no library is closed while a thread forks.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a fork and the end of a library wait for each other. Then a fork is made, and a library stays.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pause before the other side is looked at again.
const PAUSE: Duration = Duration::from_micros(100);

/// How many threads fork.
static FORKING: AtomicUsize = AtomicUsize::new(0);

/// How many threads close a library, or are about to.
static CLOSING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread closes a library, whose destructors may fork.
    static CLOSES: Cell<bool> = const { Cell::new(false) };
}

/// While this is held, no other thread forks.
#[derive(Debug)]
pub(crate) struct NoForks(PhantomData<*const ()>);

/// Waits until no thread forks, and lets none begin; `None`: one does not come to its end.
pub(crate) fn hold_off() -> Option<NoForks> {
    CLOSING.fetch_add(1, Ordering::SeqCst);
    let held = NoForks(PhantomData);
    let begun = Instant::now();
    while FORKING.load(Ordering::SeqCst) > 0 {
        if begun.elapsed() > PATIENCE {
            return None;
        }
        sleep(PAUSE);
    }
    CLOSES.set(true);
    Some(held)
}

impl Drop for NoForks {
    fn drop(&mut self) {
        CLOSES.set(false);
        CLOSING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The calling thread is about to fork: waits for libraries that are being closed.
pub(super) fn begin() {
    let begun = Instant::now();
    loop {
        FORKING.fetch_add(1, Ordering::SeqCst);
        if CLOSING.load(Ordering::SeqCst) == 0 || CLOSES.get() || begun.elapsed() > PATIENCE {
            return;
        }
        FORKING.fetch_sub(1, Ordering::SeqCst);
        sleep(PAUSE);
    }
}

/// The calling thread has forked.
pub(super) fn end(is_child: bool) {
    if is_child {
        // A copy of one thread: the others are not there.
        FORKING.store(0, Ordering::SeqCst);
        CLOSING.store(0, Ordering::SeqCst);
    } else {
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_waits_for_a_fork_and_a_fork_for_a_library() {
        begin();
        assert!(hold_off().is_none(), "the fork does not end");
        end(false);
        let held = hold_off().unwrap();
        // A destructor of the library may fork.
        begin();
        end(false);
        let fork = std::thread::spawn(|| {
            let begun = Instant::now();
            begin();
            end(false);
            begun.elapsed()
        });
        sleep(PATIENCE / 10);
        drop(held);
        assert!(fork.join().unwrap() >= PATIENCE / 20);
    }
}
