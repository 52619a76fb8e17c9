//! The threads of a generation's workers, in the process that its library is loaded in.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use atoll_plugin::abi::{Exit, PluginRef};
use atoll_port::{WorkerEnd, table};
use futures_util::future::BoxFuture;

use crate::abi::abort::Abort;
use crate::abi::current;
use crate::abi::library_context::LibraryContext;
use crate::abi::thread_end::frame;
use crate::abi::thread_stop;
use crate::generation::runner::{HeapBytes, Runner};
use crate::generation::running::Running;
use crate::library::loaded;

/// How workers have ended unexpectedly.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending<'a> {
    /// One has returned from the app's code.
    Worker {
        /// Its number.
        worker: usize,
        /// In what way.
        how: &'static str,
    },
    /// All of them, because the app has called a function that ends a process.
    Abort(&'a Abort),
}

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker { worker, how } => write!(f, "worker {worker} {how}"),
            Self::Abort(abort) => abort.fmt(f),
        }
    }
}

/// The workers of a loaded library, each on a thread made for it.
pub(crate) struct WorkerThreads {
    context: Arc<LibraryContext>,
    ends: Box<[Arc<WorkerEnd>]>,
    running: Arc<Running>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// A worker for which there was no thread.
    no_thread: Mutex<Option<(usize, io::Error)>>,
}

impl fmt::Debug for WorkerThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerThreads").field("context", &self.context).finish_non_exhaustive()
    }
}

impl WorkerThreads {
    /// Starts a thread with a stack of so many bytes for each worker of a bound library, which has that end of its port. `on_exit` is called on the
    /// worker's thread when a worker returns unexpectedly.
    ///
    /// The caller keeps the library loaded until [`stop`](Runner::stop) reports that no worker is left. Where a thread cannot
    /// be made, [`take_fault`](Runner::take_fault) has the reason.
    pub(crate) fn spawn(
        context: Arc<LibraryContext>,
        root: PluginRef,
        ends: Vec<Arc<WorkerEnd>>,
        stack_size: usize,
        on_exit: impl Fn(Ending<'_>) + Clone + Send + Sync + 'static,
    ) -> Self {
        let (app, number) = (context.app(), context.generation());
        let running = Arc::new(Running::new(ends.len()));
        let (all_ends, running_then, on_abort) = (ends.clone(), running.clone(), on_exit.clone());
        context.on_abort(move |abort| {
            // As for a process, this is the end of all workers: their requests fail now. The order is that of the end of a
            // worker below.
            if !running_then.stop() {
                on_abort(Ending::Abort(abort));
            }
            all_ends.iter().for_each(|end| end.close());
        });
        let mut threads = Vec::with_capacity(ends.len());
        let mut no_thread = None;
        for (worker, end) in ends.iter().enumerate() {
            let (inside, running_inside, on_exit) = (end.clone(), running.clone(), on_exit.clone());
            let its_own = context.clone();
            let body = move || {
                // SAFETY: the library is unloaded, and its context dropped, only after this thread was joined.
                unsafe { current::enter_worker(&its_own, worker) };
                its_own.worker_begins();
                let (end, running) = (inside.clone(), running_inside.clone());
                thread_stop::on_worker_stop(move || running.end(worker));
                // SAFETY: what the app has on this thread's stack is needed by nobody when its workers are to end.
                let exit = unsafe { frame::within(|| loaded::run(root, inside)) };
                let how = match exit.unwrap_or(Exit::Stopped) {
                    Exit::Stopped | Exit::Returned => "returned from main unexpectedly",
                    Exit::Panicked => "panicked in main",
                };
                // Reported before the port is closed: so the supervisor knows before anyone finds it closed.
                if !running_inside.is_stopping() {
                    on_exit(Ending::Worker { worker, how });
                }
                end.close();
                // Before it counts as ended: what is read then is all that it has used.
                its_own.worker_ends();
                running_inside.end(worker);
            };
            let thread = std::thread::Builder::new().stack_size(stack_size);
            match thread.name(format!("{app}#{number}.{worker}")).spawn(body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    end.close();
                    running.end(worker);
                    no_thread.get_or_insert((worker, error));
                }
            }
        }
        Self {
            context,
            ends: ends.into(),
            running,
            threads: Mutex::new(threads),
            no_thread: Mutex::new(no_thread),
        }
    }

    /// Waits for the threads that the app has made itself, at most for `limit`.
    pub(crate) fn wait_for_own_threads(&self, limit: Duration) {
        let begun = Instant::now();
        let mut pause = Duration::from_micros(200);
        while !self.context.running_threads().is_empty() && begun.elapsed() < limit {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The workers that have not come back from the app's code, and where they are.
    pub(crate) fn left(&self) -> Vec<String> {
        self.running.left()
    }

    /// Resolves when fewer workers are in the app's code than when this was called.
    pub(crate) fn change(&self) -> impl Future<Output = ()> + '_ {
        self.running.change()
    }

    /// Waits for the threads of workers that have come back.
    pub(crate) async fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // A worker's thread catches the app's panics; one of the host's own is reported by its hook.
        let join = || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }

    /// Takes back the counts of its ports that the library has not given up.
    ///
    /// # Safety
    /// The library is out of the process.
    pub(crate) unsafe fn reclaim(&self) {
        // SAFETY: by the caller's contract.
        self.ends.iter().for_each(|end| unsafe { table::reclaim(end) });
    }
}

impl Runner for WorkerThreads {
    fn take_fault(&self) -> Option<(usize, io::Error)> {
        self.no_thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note_stop(&self) {
        self.running.stop();
    }

    /// One that called `abort` is not counted.
    fn stop<'a>(
        &'a self,
        limit: Duration,
        close: &'a (dyn Fn() + Send + Sync),
    ) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move {
            let left = self.running.stop_all(limit, close).await;
            // After an abort, a worker may be among the threads that never end. The library stays, so nothing depends on the
            // others.
            if left.is_empty() && self.context.aborted().is_none() {
                self.join().await;
            }
            left
        })
    }

    /// The workers are notified by their ports.
    fn set_log_level(&self, _level: u8) {}

    fn heap(&self) -> HeapBytes {
        let heap = self.context.heap();
        HeapBytes { live: heap.live_bytes(), peak: heap.peak_bytes() }
    }

    fn cpu_time(&self) -> Duration {
        self.context.cpu_time()
    }
}
