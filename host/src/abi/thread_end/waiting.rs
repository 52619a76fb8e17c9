//! Ends the threads of an app that has no workers any more, as far as they only wait.

use std::time::{Duration, Instant};

use super::range::Ranges;
use super::waits;
use crate::abi::fault::unwind;
use crate::abi::library_context::LibraryContext;
use crate::abi::signals;

/// How long threads are asked to end, and how often: one that does not wait at this moment may do so at the next.
const LIMIT: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(5);

/// Ends the threads of a library that wait in a system call; the names of those that it has ended. `inside` is an address in
/// the library. Blocks for a short time.
pub(crate) fn end_waiting(context: &LibraryContext, inside: usize) -> Vec<String> {
    let Some(ranges) = Ranges::find(inside) else { return Vec::new() };
    waits::prepare();
    unwind::prepare();
    context.let_threads_end(ranges);
    let before = context.running_threads();
    let (mut left, begun) = (before.clone(), Instant::now());
    while !left.is_empty() && begun.elapsed() < LIMIT {
        context.each_thread(signals::ask_to_end);
        std::thread::sleep(PAUSE);
        left = context.running_threads();
    }
    before.into_iter().filter(|thread| !left.contains(thread)).collect()
}
