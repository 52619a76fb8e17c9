//! Two things measured by turns.

use std::cell::Cell;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// Turns between two things that are compared.
pub(crate) struct Turns {
    /// How often the one is done before it is the other's turn.
    slice: u64,
    swapped: Cell<bool>,
}

impl Turns {
    pub(crate) fn of(slice: u64) -> Self {
        Self { slice, swapped: Cell::new(false) }
    }

    /// Does each thing `iterations` times, in slices that alternate between the two, and says how long each took.
    ///
    /// The first of the two changes from slice to slice, so that none always follows the other.
    pub(crate) fn take<C>(
        &self,
        context: &mut C,
        iterations: u64,
        first: impl Fn(&mut C, u64) -> Duration,
        second: impl Fn(&mut C, u64) -> Duration,
    ) -> (Duration, Duration) {
        let mut times = (Duration::ZERO, Duration::ZERO);
        let mut left = iterations;
        while left > 0 {
            let count = left.min(self.slice);
            if self.swapped.get() {
                times.1 += second(context, count);
                times.0 += first(context, count);
            } else {
                times.0 += first(context, count);
                times.1 += second(context, count);
            }
            self.swapped.set(!self.swapped.get());
            left -= count;
        }
        times
    }
}

/// Waits until a thread that waits for a message sleeps. Before that it looks for one for some microseconds, and
/// whether it finds the next one there changes from run to run.
pub(crate) fn let_it_sleep() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(50) {
        spin_loop();
    }
}
