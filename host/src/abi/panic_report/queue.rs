//! The thread that reads the debug information of libraries, and writes what waits for that, in order.
//!
//! To read a library's debug information takes up to a second, which is no time of the worker that has panicked.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// So many panics and log records wait at most. An app that has more waits itself.
pub(crate) const QUEUED: usize = 1024;

type Job = Box<dyn FnOnce() + Send>;

/// How many jobs of this process are not done.
static UNDONE: AtomicUsize = AtomicUsize::new(0);

/// The host's queue; `None`: there can be no thread.
static QUEUE: LazyLock<Option<Queue>> = LazyLock::new(|| {
    Queue::new(QUEUED).inspect_err(|error| log::warn!("cannot start a thread for backtraces: {error}")).ok()
});

/// Starts the thread, unless it runs. On a thread of an app it would be the app's.
pub(in crate::abi) fn start() {
    LazyLock::force(&QUEUE);
}

/// Does this after what was pushed before, on another thread.
pub(in crate::abi) fn push(job: Job) {
    match &*QUEUE {
        // A forked child has the queue, but not its thread.
        Some(queue) if queue.process == std::process::id() => {
            UNDONE.fetch_add(1, Ordering::SeqCst);
            queue.push(Box::new(move || {
                let _done = Done;
                job();
            }));
        }
        _ => job(),
    }
}

/// Waits until everything is done that was pushed before.
pub(crate) fn flush() {
    if !is_done()
        && let Some(queue) = &*QUEUE
    {
        queue.flush();
    }
}

/// Whether everything is done that was pushed. Takes no lock and does not allocate.
pub(crate) fn is_done() -> bool {
    UNDONE.load(Ordering::SeqCst) == 0
}

/// Counts a job as done, also if it has panicked.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        UNDONE.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Queue {
    process: u32,
    jobs: SyncSender<Job>,
}

impl Queue {
    fn new(room: usize) -> io::Result<Self> {
        let (jobs, queued) = sync_channel(room);
        thread::Builder::new().name("backtraces".to_owned()).spawn(move || work(&queued))?;
        Ok(Self { process: std::process::id(), jobs })
    }

    /// Waits for room.
    fn push(&self, job: Job) {
        if let Err(unsent) = self.jobs.send(job) {
            // The thread does not end before this.
            (unsent.0)();
        }
    }

    fn flush(&self) {
        let (done, is_done) = sync_channel(0);
        // The other side waits.
        self.push(Box::new(move || _ = done.send(())));
        let _ = is_done.recv();
    }
}

fn work(queued: &Receiver<Job>) {
    for job in queued {
        // Its message is in the log: the others are done all the same.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn jobs_are_done_in_order_on_another_thread() {
        let queue = Queue::new(8).unwrap();
        let (begin, begins) = channel::<()>();
        let done = Arc::new(Mutex::new(Vec::new()));
        queue.push(Box::new(move || begins.recv().unwrap()));
        for number in 0..3 {
            let done = done.clone();
            queue.push(Box::new(move || done.lock().unwrap().push(number)));
        }
        queue.push(Box::new(|| panic!("a job may")));
        assert_eq!(*done.lock().unwrap(), [0; 0], "the first one is not done");
        begin.send(()).unwrap();
        let last = done.clone();
        queue.push(Box::new(move || last.lock().unwrap().push(3)));
        queue.flush();
        assert_eq!(*done.lock().unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_full_queue_has_its_callers_wait() {
        let queue = Arc::new(Queue::new(1).unwrap());
        let (begin, begins) = channel::<()>();
        let (begun, has_begun) = channel();
        queue.push(Box::new(move || {
            begun.send(()).unwrap();
            begins.recv().unwrap();
        }));
        has_begun.recv().unwrap();
        queue.push(Box::new(|| ()));
        let (pushed, is_pushed) = channel();
        let other = queue.clone();
        let caller = thread::spawn(move || {
            other.push(Box::new(|| ()));
            pushed.send(()).unwrap();
        });
        assert!(is_pushed.try_recv().is_err());
        begin.send(()).unwrap();
        is_pushed.recv().unwrap();
        caller.join().unwrap();
    }
}
