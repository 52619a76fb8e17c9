//! A generation that runs: its workers, and the requests that they have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use atoll_plugin::abi::PluginRef;
use atoll_plugin::protocol::{LogLevel, Start, method};
use atoll_port::{
    CallSink, Limits, Port, Requests, SaveError, ShutdownSignal, StartError, Warnings, Workers,
    port_to_thread,
};
use serde_json::Value;

use crate::abi::library_context::LibraryContext;
use crate::generation::runner::{HeapBytes, ProcessInfo, Runner};
use crate::generation::worker_threads::{Ending, WorkerThreads};
use crate::generation::working_directory;
use crate::observe::app_log::AppLog;
use crate::observe::app_warnings::WarningKind;
use crate::observe::usage::Source;
use crate::observe::version_name::app_of;

/// How many workers a generation has, and how much may wait for each.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// The number of workers, at least 1.
    pub workers: usize,
    /// The stack of each worker's thread, in bytes.
    pub stack_size: usize,
    /// The working directory of its threads.
    pub folder: PathBuf,
    /// What each worker may do.
    pub limits: Limits,
}

/// What tells a generation from all others.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The app's name.
    pub(crate) app: Arc<str>,
    /// Which of the app's generations it is, counted from 1.
    pub(crate) number: u64,
    /// The version of the library's package.
    pub(crate) version: String,
    /// The records of the app.
    pub(crate) app_log: Arc<AppLog>,
    /// When the change was noticed that brought it.
    pub(crate) noticed: Option<Instant>,
}

/// Workers that run one library's code.
pub struct Generation {
    identity: Identity,
    workers: Workers,
    requests: Requests,
    runner: Arc<dyn Runner>,
    answered: AtomicBool,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.app(), self.number())
    }
}

impl Generation {
    /// A generation whose workers have these ports.
    pub(crate) fn new(identity: Identity, ports: Vec<Arc<Port>>, runner: Arc<dyn Runner>) -> Self {
        Self {
            identity,
            workers: Workers::new(ports),
            requests: Requests::default(),
            runner,
            answered: AtomicBool::new(false),
        }
    }

    /// Starts a thread for each worker of a bound library. `call_sink` performs their calls; `on_exit` is called on the
    /// worker's thread when a worker returns unexpectedly.
    ///
    /// The caller keeps the library loaded until [`stop`](Self::stop) reports that no worker is left. Where a thread cannot
    /// be made, [`start`](Self::start) fails.
    pub(crate) fn on_threads(
        identity: Identity,
        context: Arc<LibraryContext>,
        root: PluginRef,
        shape: Shape,
        call_sink: &Arc<dyn CallSink>,
        on_exit: impl Fn(String) + Clone + Send + Sync + 'static,
    ) -> (Self, Arc<WorkerThreads>) {
        let warnings: Arc<dyn Warnings> = identity.app_log.warnings().clone();
        let app: Arc<str> = app_of(&identity.app).into();
        let port = |_| port_to_thread(app.clone(), shape.limits, warnings.clone(), call_sink.clone());
        let (ports, ends): (Vec<_>, Vec<_>) = (0..shape.workers).map(port).unzip();
        let on_exit = move |ending: Ending<'_>| on_exit(ending.to_string());
        context.note_ports(&ports);
        let threads = Arc::new(working_directory::within(&shape.folder, || {
            WorkerThreads::spawn(context, root, ends, shape.stack_size, on_exit)
        }));
        (Self::new(identity, ports, threads.clone()), threads)
    }

    /// When the change was noticed that this generation brought.
    pub fn noticed(&self) -> Option<Instant> {
        self.identity.noticed
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
        if let Some(noticed) = self.noticed() {
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
        &self.identity.app
    }

    /// The records of its app.
    pub(crate) fn app_log(&self) -> &AppLog {
        &self.identity.app_log
    }

    /// Which of the app's generations this is, counted from 1.
    pub fn number(&self) -> u64 {
        self.identity.number
    }

    /// The version of the library's package.
    pub fn version(&self) -> &str {
        &self.identity.version
    }

    /// The process that its workers have for themselves, if they have one.
    pub fn process(&self) -> Option<ProcessInfo> {
        self.runner.process()
    }

    /// How much memory the app has allocated.
    pub fn heap(&self) -> HeapBytes {
        self.runner.heap()
    }

    /// How many workers it was made with.
    pub fn workers(&self) -> usize {
        self.workers.ports().len()
    }

    /// How many requests wait in its inboxes.
    pub fn waiting(&self) -> usize {
        self.workers.waiting()
    }

    /// For each worker, how much it has read if something waits for it: see [`Port::unread`].
    pub(crate) fn unread(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.workers.ports().iter().map(|port| port.unread())
    }

    /// The request whose code a worker runs now: its id in logs, its method and path.
    pub(crate) fn running_request(&self, worker: usize) -> Option<(String, String)> {
        let port = self.workers.ports().get(worker)?;
        let running = port.running().or_else(|| self.runner.running_request(worker))?;
        let mut found = None;
        port.requests_at_fault(|request| {
            if request.id == running {
                found = Some((request.request_id.to_owned(), request.line.to_owned()));
            }
        });
        found
    }

    /// Sends `start` to each worker, with the state that the worker of the same number before it has left, and waits
    /// until all are ready.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self, start: Start, states: Vec<Value>, limit: Duration) -> Result<(), StartError> {
        if let Some((worker, reason)) = self.runner.take_fault() {
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

    /// How many pieces of work that belong to no request its workers have.
    pub fn background(&self) -> usize {
        self.workers.background()
    }

    /// Waits until its workers have no work that belongs to no request, at most for `limit`; how many pieces are left.
    pub async fn drain_background(&self, limit: Duration) -> usize {
        self.workers.drain_background(limit).await
    }

    /// Admits nothing more.
    pub fn retire(&self) {
        self.requests.retire();
    }

    /// Admits nothing more, if it has nothing to do; whether that was so.
    pub fn retire_if_idle(&self) -> bool {
        self.background() == 0 && self.requests.retire_if_idle()
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
        self.runner.note_stop();
        self.workers.notify(method::STOP, Value::Null);
        self.runner.stop(limit, &|| self.workers.close()).await
    }

    /// Tells the workers which log records they are to send: 0 (none) to 5 (trace).
    pub(crate) fn set_log_level(&self, level: u8) {
        self.workers.notify(method::LOG_LEVEL, LogLevel { level });
        self.runner.set_log_level(level);
    }
}

/// A generation that was not stopped ends: its workers have nobody left to work for.
impl Drop for Generation {
    fn drop(&mut self) {
        self.runner.note_stop();
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
        self.identity.number
    }

    fn note_incomplete(&self, why: &str) {
        let app_log = self.app_log();
        app_log.warnings().write(WarningKind::Incomplete, || {
            let said = app_log.shortened(why);
            format!("{self:?}: incomplete response: {said}")
        });
    }
}

impl Source for Generation {
    fn cpu_time(&self) -> Duration {
        self.runner.cpu_time()
    }

    fn live_bytes(&self) -> u64 {
        self.heap().live
    }
}

/// One request's stay in a generation: the generation is not stopped while it lasts.
pub type InFlight = atoll_port::InFlight<Generation>;
