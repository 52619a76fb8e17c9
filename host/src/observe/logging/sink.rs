//! Standard error, as a server's log is written to it.
//!
//! What reads it may stop reading. Then no thread waits for it that answers requests: lines go to a queue, which a thread
//! made for it writes, and beyond its limit they are left out and counted. As long as standard error takes what is written,
//! a line is written before the call returns, so that a crash loses none.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fs::readiness;

/// How many bytes of the log wait for standard error to take them. Lines beyond it are left out.
pub(crate) const MAX_QUEUED: usize = 1024 * 1024;

/// As many bytes are taken at once by what has room.
const AT_ONCE: usize = libc::PIPE_BUF;

/// Takes lines of the log. Clones share the queue.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    left_out: u64,
    /// A line that is not in the queue any more is being written.
    is_writing: bool,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    WrittenNow,
    Queued,
    LeftOut,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && !self.is_writing
    }

    /// Takes a line, unless it is to be written now; `takes` says whether standard error takes so many bytes.
    fn take(&mut self, line: &[u8], takes: impl FnOnce(usize) -> bool) -> Fate {
        if self.is_empty() && takes(line.len()) {
            return Fate::WrittenNow;
        }
        if self.bytes + line.len() > MAX_QUEUED {
            self.left_out += 1;
            return Fate::LeftOut;
        }
        self.bytes += line.len();
        self.lines.push_back(line.to_vec());
        Fate::Queued
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.pop_front()?;
        self.bytes -= line.len();
        self.is_writing = true;
        Some(line)
    }
}

impl Sink {
    /// Starts the thread that writes what waits. It is made here, as one that is made later could be booked on an app.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(super) fn start() -> io::Result<Self> {
        let sink = Self(Arc::default());
        let shared = sink.0.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_queued())?;
        Ok(sink)
    }

    /// Waits until all is written, at most for `limit`.
    pub(super) fn drain(&self, limit: Duration) {
        let queue = self.0.lock();
        // Whether it was in time makes no difference.
        let _ = self.0.changed.wait_timeout_while(queue, limit, |queue| !queue.is_empty());
    }
}

impl Write for Sink {
    /// A whole record at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.lock();
        match queue.take(line, takes) {
            // With the lock, which keeps the order.
            Fate::WrittenNow => io::stderr().write_all(line)?,
            Fate::Queued => self.0.changed.notify_all(),
            Fate::LeftOut => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_queued(&self) {
        loop {
            let mut queue = self.lock();
            let line = loop {
                match queue.next() {
                    Some(line) => break line,
                    None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            // Without a reader there is nobody to be told of it.
            let _ = io::stderr().write_all(&line);
            let mut queue = self.lock();
            queue.is_writing = false;
            let left_out = if queue.lines.is_empty() { std::mem::take(&mut queue.left_out) } else { 0 };
            drop(queue);
            self.changed.notify_all();
            if left_out > 0 {
                log::warn!(
                    "{left_out} line{} left out of the log, as {MAX_QUEUED} bytes of it waited for standard error \
                     to take them (log_queue)",
                    if left_out == 1 { " was" } else { "s were" }
                );
            }
        }
    }
}

/// Whether standard error takes so many bytes now, or fails at once.
fn takes(bytes: usize) -> bool {
    let stderr = io::stderr();
    let events = readiness::now(stderr.as_fd(), libc::POLLOUT);
    let fails = events & !libc::POLLOUT != 0;
    fails || (events != 0 && (bytes <= AT_ONCE || is_file()))
}

/// What is written to a file waits for no reader.
fn is_file() -> bool {
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    stderr.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_in_order_up_to_the_limit() {
        let mut queue = Queue::default();
        assert_eq!(queue.take(b"one", |bytes| bytes == 3), Fate::WrittenNow);
        assert_eq!(queue.take(&vec![b'x'; MAX_QUEUED - 4], |_| false), Fate::Queued);
        assert_eq!(queue.take(b"four", |_| true), Fate::Queued, "it does not overtake the other");
        assert_eq!(queue.take(b"5", |_| true), Fate::LeftOut);
        assert_eq!(queue.next().unwrap().len(), MAX_QUEUED - 4);
        assert_eq!(queue.take(b"six", |_| true), Fate::Queued);
        assert_eq!(
            [queue.next(), queue.next(), queue.next()],
            [Some(b"four".into()), Some(b"six".into()), None]
        );
        assert_eq!(queue.take(b"seven", |_| true), Fate::Queued, "one is being written");
        queue.next();
        queue.is_writing = false;
        assert_eq!(queue.take(b"eight", |_| true), Fate::WrittenNow);
        assert_eq!((queue.bytes, queue.left_out), (0, 1));
    }
}
