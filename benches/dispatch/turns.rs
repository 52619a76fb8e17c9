//! Two things measured by turns.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// Does each thing `iterations` times, in slices that alternate between the two, and says how long each took.
///
/// The first of the two changes from slice to slice, so that none always follows the other.
pub(crate) fn by_turns<C>(
    context: &mut C,
    iterations: u64,
    slice: u64,
    first: impl Fn(&mut C, u64) -> Duration,
    second: impl Fn(&mut C, u64) -> Duration,
) -> (Duration, Duration) {
    let mut times = (Duration::ZERO, Duration::ZERO);
    let mut left = iterations;
    let mut swapped = false;
    while left > 0 {
        let count = left.min(slice);
        if swapped {
            times.1 += second(context, count);
            times.0 += first(context, count);
        } else {
            times.0 += first(context, count);
            times.1 += second(context, count);
        }
        swapped = !swapped;
        left -= count;
    }
    times
}

/// Waits until a thread that waits for a message sleeps. Before that it looks for one for some microseconds, and
/// whether it finds the next one there changes from run to run.
pub(crate) fn let_it_sleep() {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_micros(50) {
        spin_loop();
    }
}
