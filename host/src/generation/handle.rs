//! A generation that runs: its workers, and the requests that they have.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use atoll_plugin::abi::{Exit, PluginRef};
use atoll_plugin::protocol::{LogLevel, Start, method};
use atoll_port::{
    CallSink, Limits, Port, Requests, SaveError, ShutdownSignal, StartError, Warnings, Workers,
};
use serde_json::Value;

use crate::abi::current;
use crate::abi::library_context::LibraryContext;
use crate::abi::thread_stop;
use crate::generation::running::Running;
use crate::library::loaded;
use crate::memory::heap::Heap;
use crate::observe::app_log::AppLog;
use crate::observe::app_warnings::WarningKind;

/// How many workers a generation has, and how much may wait for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The number of workers, at least 1.
    pub workers: usize,
    /// The stack of each worker's thread, in bytes.
    pub stack_size: usize,
    /// What each worker may do.
    pub limits: Limits,
}

/// Workers that run one library's code.
pub struct Generation {
    context: Arc<LibraryContext>,
    /// The version of the library's package.
    version: String,
    workers: Workers,
    requests: Requests,
    running: Arc<Running>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// A worker for which there was no thread.
    no_thread: Mutex<Option<(usize, io::Error)>>,
    noticed: Option<Instant>,
    answered: AtomicBool,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.app(), self.number())
    }
}

impl Generation {
    /// Starts a thread for each worker of a bound library. `call_sink` performs their calls; `noticed` is when the
    /// change was noticed; `on_exit` is called on the worker's thread when a worker returns unexpectedly.
    ///
    /// The caller keeps the library loaded until [`stop`](Self::stop) says that no worker is left. Where a thread
    /// cannot be made, [`start`](Self::start) fails.
    pub(crate) fn spawn(
        context: Arc<LibraryContext>,
        version: String,
        root: PluginRef,
        shape: Shape,
        call_sink: &Arc<dyn CallSink>,
        noticed: Option<Instant>,
        on_exit: impl Fn(String) + Clone + Send + Sync + 'static,
    ) -> Self {
        let (app, number) = (context.app(), context.generation());
        let warnings: Arc<dyn Warnings> = context.app_log().warnings().clone();
        let workers = Workers::new(shape.workers, app, shape.limits, &warnings, call_sink);
        let ports = workers.ports();
        context.note_ports(ports);
        let running = Arc::new(Running::new(shape.workers));
        let (all_ports, running_then, on_abort) = (ports.to_vec(), running.clone(), on_exit.clone());
        context.on_abort(move |abort| {
            // As for a process, this is the end of all workers: their requests fail now. The order is that of `ended` below.
            if !running_then.stop() {
                on_abort(abort.to_string());
            }
            all_ports.iter().for_each(|port| port.close());
        });
        let mut threads = Vec::with_capacity(shape.workers);
        let mut no_thread = None;
        for (worker, port) in ports.iter().enumerate() {
            let (inside, running_inside, on_exit) = (port.clone(), running.clone(), on_exit.clone());
            let its_own = context.clone();
            let body = move || {
                // SAFETY: whoever unloads the library joins this thread first, and keeps the context until then.
                unsafe { current::enter_worker(&its_own, worker) };
                its_own.worker_begins();
                let (port, running) = (inside.clone(), running_inside.clone());
                thread_stop::on_worker_stop(move || running.end(worker));
                let how = match loaded::run(root, inside) {
                    Exit::Stopped | Exit::Returned => "returned from main unexpectedly",
                    Exit::Panicked => "panicked in main",
                };
                // Told before the port is closed: so the supervisor knows before anyone finds it closed.
                if !running_inside.is_stopping() {
                    on_exit(format!("worker {worker} {how}"));
                }
                port.close();
                running_inside.end(worker);
            };
            let thread = std::thread::Builder::new().stack_size(shape.stack_size);
            match thread.name(format!("{app}#{number}.{worker}")).spawn(body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    port.close();
                    running.end(worker);
                    no_thread.get_or_insert((worker, error));
                }
            }
        }
        Self {
            context,
            version,
            workers,
            requests: Requests::default(),
            running,
            threads: Mutex::new(threads),
            no_thread: Mutex::new(no_thread),
            noticed,
            answered: AtomicBool::new(false),
        }
    }

    /// When the change was noticed that this generation brought.
    pub fn noticed(&self) -> Option<Instant> {
        self.noticed
    }

    /// How many calls were sent to it.
    pub fn calls(&self) -> usize {
        self.workers.calls()
    }

    /// Notes that a request was answered: the first one is logged, with the time since the change.
    pub(crate) fn note_answer(&self) {
        if self.answered.load(Ordering::Relaxed) || self.answered.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some(noticed) = self.noticed {
            let time = noticed.elapsed().as_secs_f64() * 1000.0;
            log::info!(
                "{}#{} sent its first response {time:.1} ms after the change",
                self.app(),
                self.number()
            );
        }
    }

    /// The app's name.
    pub fn app(&self) -> &str {
        self.context.app()
    }

    /// The records of its app.
    pub(crate) fn app_log(&self) -> &AppLog {
        self.context.app_log()
    }

    /// Which of the app's generations this is, counted from 1.
    pub fn number(&self) -> u64 {
        self.context.generation()
    }

    /// The version of the library's package.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The heap that the library allocates from.
    pub fn heap(&self) -> &Heap {
        self.context.heap()
    }

    /// How many workers it was made with.
    pub fn workers(&self) -> usize {
        self.workers.ports().len()
    }

    /// How many requests wait in its inboxes.
    pub fn waiting(&self) -> usize {
        self.workers.waiting()
    }

    /// Sends `start` to each worker, with the state that the worker of the same number before it has left, and waits
    /// until all are ready.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self, start: Start, states: Vec<Value>, limit: Duration) -> Result<(), StartError> {
        let no_thread = self.no_thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((worker, reason)) = no_thread {
            return Err(StartError::Thread { worker, reason });
        }
        self.workers.start(start, states, limit).await
    }

    /// Whether its workers have a state for the next generation.
    pub fn saves(&self) -> bool {
        self.workers.saves()
    }

    /// The states of the workers, in their order.
    ///
    /// # Errors
    /// One of them did not answer with a state within `limit`.
    pub async fn save(&self, limit: Duration) -> Result<Vec<Value>, SaveError> {
        self.workers.save(limit).await
    }

    /// Admits one request, unless the generation is retired.
    pub fn enter(self: &Arc<Self>) -> Option<InFlight> {
        InFlight::enter(self)
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.requests.in_flight()
    }

    /// Admits nothing more.
    pub fn retire(&self) {
        self.requests.retire();
    }

    /// Admits nothing more, if nothing is in flight; whether that was so.
    pub fn retire_if_idle(&self) -> bool {
        self.requests.retire_if_idle()
    }

    /// Tells streams and WebSockets to end.
    pub(crate) fn shutdown(&self) -> &ShutdownSignal {
        self.requests.shutdown()
    }

    /// Admits requests again.
    pub fn resume(&self) {
        self.requests.resume();
    }

    /// Waits until nothing is in flight, at most for `limit`; how many requests are left.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.requests.drain(limit).await
    }

    /// Tells the workers to stop, and waits for their threads: until `limit`, then as long again with their ports
    /// closed. Those that are left, still in the app's code: which they are. One that called `abort` is not counted.
    pub async fn stop(&self, limit: Duration) -> Vec<String> {
        self.running.stop();
        self.workers.notify(method::STOP, Value::Null);
        if self.running.ended(limit).await.is_err() {
            self.workers.close();
            if self.running.ended(limit).await.is_err() {
                return self.left();
            }
        }
        self.workers.close();
        if self.context.aborted().is_some() {
            // A worker may be among the threads that never end. The library stays, so nothing depends on the others.
            return Vec::new();
        }
        self.join().await;
        Vec::new()
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

    /// Tells the workers which log records they are to send: 0 (none) to 5 (trace).
    pub(crate) fn set_log_level(&self, level: u8) {
        self.workers.notify(method::LOG_LEVEL, LogLevel { level });
    }

    /// The host's ends of its workers' ports.
    pub(crate) fn ports(&self) -> &[Arc<Port>] {
        self.workers.ports()
    }
}

/// A generation that was not stopped ends: its workers have nobody left to work for.
impl Drop for Generation {
    fn drop(&mut self) {
        self.running.stop();
        self.workers.close();
    }
}

impl atoll_port::Generation for Generation {
    fn requests(&self) -> &Requests {
        &self.requests
    }

    fn workers(&self) -> &Workers {
        &self.workers
    }

    fn number(&self) -> u64 {
        self.context.generation()
    }

    fn note_incomplete(&self, why: &str) {
        let app_log = self.app_log();
        app_log.warnings().write(WarningKind::Incomplete, || {
            let said = app_log.shortened(why);
            format!("{self:?}: incomplete response: {said}")
        });
    }
}

/// One request's stay in a generation: the generation is not stopped while it lasts.
pub type InFlight = atoll_port::InFlight<Generation>;
