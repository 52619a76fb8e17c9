//! The CPU time of the threads of a generation, also of those that have ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::abi::cpu_clock;
use crate::abi::threads::this_thread;

/// The CPU time of some threads, from their beginning to their end.
///
/// A thread reports its end while it still runs, and waits for those that read its clock: the kernel cannot give its number to
/// another one meanwhile. One that ends without a report counts with what was read last.
#[derive(Debug, Default)]
pub(crate) struct ThreadClocks(Mutex<Clocks>);

#[derive(Debug, Default)]
struct Clocks {
    /// By the kernel's numbers, with what was read last.
    running: BTreeMap<libc::pid_t, Duration>,
    /// The sum of those that have ended.
    ended: Duration,
}

impl ThreadClocks {
    fn lock(&self) -> MutexGuard<'_, Clocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread begins. All CPU time that it has used counts.
    pub(crate) fn begin(&self) {
        let mut clocks = self.lock();
        // A thread with this number that is still there has ended without a report.
        let earlier = clocks.running.insert(this_thread(), cpu_clock::of_this_thread());
        clocks.ended += earlier.unwrap_or_default();
    }

    /// The calling thread is about to end.
    pub(crate) fn end(&self) {
        let mut clocks = self.lock();
        if clocks.running.remove(&this_thread()).is_some() {
            clocks.ended += cpu_clock::of_this_thread();
        }
    }

    /// The CPU time of all of them; it never goes down.
    pub(crate) fn total(&self) -> Duration {
        let mut clocks = self.lock();
        let Clocks { running, ended } = &mut *clocks;
        let mut sum = Duration::ZERO;
        running.retain(|&thread, read| match cpu_clock::of_thread(thread).filter(|now| now >= read) {
            Some(now) => {
                *read = now;
                sum += now;
                true
            }
            None => {
                *ended += *read;
                false
            }
        });
        sum + *ended
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// Uses so much CPU time.
    fn burn(time: Duration) {
        let begun = cpu_clock::of_this_thread();
        while cpu_clock::of_this_thread() - begun < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn threads_count_while_they_run_and_when_they_have_ended() {
        const BURNT: Duration = Duration::from_millis(20);
        let clocks = Arc::new(ThreadClocks::default());
        let (end, ends) = channel::<()>();
        let (burnt, has_burnt) = channel();
        let inside = clocks.clone();
        let running = thread::spawn(move || {
            inside.begin();
            burn(BURNT);
            burnt.send(()).unwrap();
            let _ = ends.recv();
            inside.end();
        });
        has_burnt.recv().unwrap();
        let while_it_runs = clocks.total();
        assert!(while_it_runs >= BURNT, "{while_it_runs:?}");
        drop(end);
        running.join().unwrap();
        let ended = clocks.total();
        assert!(ended >= while_it_runs && clocks.lock().running.is_empty(), "{ended:?}");

        // One that reports nothing counts with what was read last.
        let (end, ends) = channel::<()>();
        let (burnt, has_burnt) = channel();
        let inside = clocks.clone();
        let silent = thread::spawn(move || {
            inside.begin();
            burn(BURNT);
            burnt.send(()).unwrap();
            let _ = ends.recv();
        });
        has_burnt.recv().unwrap();
        let both = clocks.total();
        assert!(both >= ended + BURNT, "{both:?}");
        drop(end);
        silent.join().unwrap();
        while !clocks.lock().running.is_empty() {
            // Not before the kernel has forgotten it.
            assert!(clocks.total() >= both);
            thread::yield_now();
        }
        assert!(clocks.total() >= both);
    }
}
