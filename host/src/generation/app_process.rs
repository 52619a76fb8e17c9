//! A generation in a separate process, as its host has it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use atoll_plugin::abi::LogRecord;
use atoll_port::shared_memory::{HeapUse, ProcessLink, RunningRequests, lane_descriptors};
use atoll_port::{CallSink, Port, Warnings, Watch, take_lane};
use futures_util::future::BoxFuture;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::abi::fault::report;
use crate::abi::reports::{Reports, ToAppLog};
use crate::generation::handle::{Generation, Identity, Shape};
use crate::generation::runner::{HeapBytes, ProcessInfo, Runner};
use crate::generation::running::Running;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::loaded::{is_verified, note_verified};
use crate::observe::entries::{FaultEntry, FaultRequest};
use crate::observe::exit_status::describe;
use crate::process::blank::Blank;
use crate::process::control::{self, LogReport, Opening, Order, Report};
use crate::sandbox::{InForce, Policy};

/// How long a process may take for its exit handlers before it is killed.
pub(crate) const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// How often the port of a worker that has ended is looked at, at the most.
const LAST_FETCHES: usize = 256;

/// How many bytes the record of a fault may have: more than is written.
const FAULT_LIMIT: u64 = 8 << 20;

/// Why an app process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// The system has no process, descriptors or memory for it.
    #[error("cannot start a process for the app: {0}")]
    Start(#[from] io::Error),
    /// It could not be restricted as its settings ask for; why.
    #[error("cannot sandbox the process of the app: {0}")]
    Sandbox(String),
    /// It was refused there, as a host would refuse it; why.
    #[error("{0}")]
    Refused(String),
    /// The process ended before it was ready.
    #[error("it could not be opened in a process: {0}")]
    Ended(String),
    /// It took too long.
    #[error("opening the library in a process took longer than {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// A process that runs the workers of a generation. Dropping this ends it.
pub(crate) struct AppProcess {
    id: Option<u32>,
    running: Arc<Running>,
    orders: UnboundedSender<Order>,
    ended: watch::Receiver<bool>,
    heap_use: HeapUse,
    no_thread: Mutex<Option<(usize, io::Error)>>,
    /// What of its policy is in force, if it has one.
    in_force: OnceLock<InForce>,
}

/// What a process is to do.
pub(crate) struct ProcessPlan<'p> {
    /// What it opens.
    pub(crate) library: &'p Inspected,
    /// Its workers.
    pub(crate) shape: Shape,
    /// What it may do; `None`: what its user may.
    pub(crate) policy: Option<Policy>,
    /// How long it may take to open the library.
    pub(crate) limit: Duration,
}

/// What happens to a process.
pub(crate) trait ProcessEvents {
    /// A worker has ended unexpectedly, or all have; why.
    fn exited(&self, reason: String);

    /// A fault has ended it.
    fn faulted(&self, fault: FaultEntry);
}

impl AppProcess {
    /// Has a blank process open a library, and waits until there is a thread for each worker of a generation. `call_sink` performs
    /// their calls.
    ///
    /// # Errors
    /// See [`ProcessError`].
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(crate) async fn start(
        blank: Blank,
        identity: Identity,
        plan: ProcessPlan<'_>,
        call_sink: &Arc<dyn CallSink>,
        events: impl ProcessEvents + 'static,
    ) -> Result<(Generation, Arc<Self>), ProcessError> {
        let ProcessPlan { library, shape, policy, limit } = plan;
        let has_account = policy.as_ref().is_some_and(|policy| policy.account.is_some());
        let no_lane = || io::Error::other("too many threads of this process wait for app processes");
        let home = take_lane().ok_or_else(no_lane)?;
        let (report_fault, faults) = unbounded_channel();
        // Without a receiver, the process has ended.
        let on_fault = Arc::new(move |fault| drop(report_fault.send(fault)));
        let link = ProcessLink::new(shape.workers, home, on_fault)?;
        let heap_use = link.heap_use()?;
        let warnings: Arc<dyn Warnings> = identity.app_log.warnings().clone();
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bells = (0..shape.workers).map(|_| bell()).collect::<Result<Vec<OwnedFd>, _>>();
        let bells = bells.map_err(io::Error::from)?;
        let mut ports = Vec::with_capacity(shape.workers);
        for (worker, bell) in bells.iter().enumerate() {
            let app = identity.app.clone();
            let bell = bell.try_clone()?;
            ports.push(link.port(worker, bell, app, shape.limits, warnings.clone(), call_sink.clone())?);
        }
        link.host.seal_writing()?;

        let reports = ToAppLog::new(identity.app.clone(), identity.number, identity.app_log.clone());
        let opening = Opening {
            app: identity.app.to_string(),
            generation: identity.number,
            workers: shape.workers,
            home,
            content: library.staged().hash(),
            is_verified: is_verified(library.staged().hash()),
            log_level: reports.max_level(),
            stack_size: shape.stack_size,
            policy,
        };
        let file = library_file(library.staged().path(), has_account)?;
        let fault = File::from(memfd_create("atoll-fault", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
        let lanes = lane_descriptors()?;
        let own = [file.as_fd(), fault.as_fd(), link.host.as_fd(), link.worker.as_fd()].into_iter();
        let descriptors: Vec<BorrowedFd<'_>> =
            own.chain(bells.iter().map(AsFd::as_fd)).chain(lanes).collect();
        let Blank { child, control } = blank;
        control::send_with(&control, &Order::Open(Box::new(opening)), &descriptors)?;

        control.set_nonblocking(true)?;
        let (input, mut output) = UnixStream::from_std(control)?.into_split();
        let (orders, mut ordered) = unbounded_channel();
        spawn_local(async move {
            while let Some(order) = ordered.recv().await {
                // An order is small; a process that takes none is killed when it does not end in time.
                let Ok(bytes) = control::encode(&order) else { break };
                if output.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        });
        let watches = ports.iter().filter_map(|port| Some(Watch::new(port.inlet()?))).collect::<Option<_>>();
        let running = Arc::new(Running::new(shape.workers));
        let (note_end, ended) = watch::channel(false);
        let (note_ready, mut ready) = watch::channel(None);
        let process = Arc::new(Self {
            id: child.id(),
            running: running.clone(),
            orders,
            ended,
            heap_use,
            no_thread: Mutex::new(None),
            in_force: OnceLock::new(),
        });
        let monitor = Monitor {
            identity: identity.clone(),
            process: Arc::downgrade(&process),
            child,
            library: library.staged().path().to_owned(),
            content: library.staged().hash(),
            reports,
            ports: ports.clone(),
            running,
            events: Box::new(events),
            fault,
            requests: link.running(shape.workers)?,
            note_ready,
            _watches: watches.ok_or_else(no_lane)?,
            exit: None,
        };
        spawn_local(async move {
            monitor.run(BufReader::new(input), faults).await;
            // Whoever waits for it may be gone.
            let _ = note_end.send(true);
        });
        match timeout(limit, ready.wait_for(Option::is_some)).await {
            Err(_elapsed) => Err(ProcessError::TimedOut(limit)),
            Ok(Err(_gone)) => Err(ProcessError::Ended("its process ended".to_owned())),
            Ok(Ok(answer)) => match &*answer {
                None | Some(Opened::Ready) => {
                    let generation = Generation::new(identity, ports, process.clone());
                    Ok((generation, process.clone()))
                }
                Some(Opened::NoThread(worker, reason)) => {
                    let fault = Some((*worker, io::Error::other(reason.clone())));
                    *process.no_thread.lock().unwrap_or_else(PoisonError::into_inner) = fault;
                    let generation = Generation::new(identity, ports, process.clone());
                    Ok((generation, process.clone()))
                }
                Some(Opened::Refused(reason)) => Err(ProcessError::Refused(reason.clone())),
                Some(Opened::NoSandbox(reason)) => Err(ProcessError::Sandbox(reason.clone())),
                Some(Opened::Ended(end)) => Err(ProcessError::Ended(end.clone())),
            },
        }
    }

    /// Ends the process when the app's own threads have ended, or after `limit`, and waits until it has. It is killed if it
    /// does not end by itself.
    pub(crate) async fn end(&self, limit: Duration) {
        // Without a receiver, it has ended.
        let _ =
            self.orders.send(Order::Exit { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) });
        if timeout(limit.saturating_add(EXIT_LIMIT), self.has_ended()).await.is_err() {
            self.kill().await;
        }
    }

    /// Kills the process, and waits until it has ended.
    pub(crate) async fn kill(&self) {
        self.send_kill();
        self.has_ended().await;
    }

    async fn has_ended(&self) {
        // Without a sender, the runtime of the monitor is gone, and nobody waits for anything.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    fn send_kill(&self) {
        let process = self.id.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        // Its number is its own until the monitor has waited for it, which is before `ended`.
        if let Some(process) = process.filter(|_| !*self.ended.borrow()) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
    }
}

impl fmt::Debug for AppProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppProcess").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for AppProcess {
    fn drop(&mut self) {
        self.send_kill();
    }
}

impl Runner for AppProcess {
    fn take_fault(&self) -> Option<(usize, io::Error)> {
        self.no_thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note_stop(&self) {
        self.running.stop();
    }

    /// Workers that are left are killed, with their process.
    fn stop<'a>(
        &'a self,
        limit: Duration,
        close: &'a (dyn Fn() + Send + Sync),
    ) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move {
            if self.running.ended(limit).await.is_err() {
                close();
                if self.running.ended(limit).await.is_err() {
                    return self.running.left();
                }
            }
            close();
            Vec::new()
        })
    }

    fn set_log_level(&self, level: u8) {
        // Without a receiver, it has ended.
        let _ = self.orders.send(Order::LogLevel(level));
    }

    fn process(&self) -> Option<ProcessInfo> {
        Some(ProcessInfo { id: self.id?, sandbox: self.in_force.get().cloned() })
    }

    fn heap(&self) -> HeapBytes {
        HeapBytes { live: self.heap_use.live(), peak: self.heap_use.peak() }
    }
}

/// What came of the attempt to open a library.
#[derive(Clone, Debug)]
enum Opened {
    Ready,
    NoThread(usize, String),
    Refused(String),
    NoSandbox(String),
    Ended(String),
}

/// Receives what a process reports, until it has ended.
struct Monitor {
    identity: Identity,
    process: Weak<AppProcess>,
    child: Child,
    library: PathBuf,
    content: ContentHash,
    reports: ToAppLog,
    ports: Vec<Arc<Port>>,
    running: Arc<Running>,
    events: Box<dyn ProcessEvents>,
    /// Where the process records a fault.
    fault: File,
    requests: RunningRequests,
    note_ready: watch::Sender<Option<Opened>>,
    /// Fetch what is for no request.
    _watches: Vec<Watch>,
    /// Why the process was killed.
    exit: Option<String>,
}

impl Monitor {
    async fn run(
        mut self,
        mut input: BufReader<OwnedReadHalf>,
        mut faults: UnboundedReceiver<atoll_port::shared_memory::FrameError>,
    ) {
        loop {
            tokio::select! {
                report = receive(&mut input) => match report {
                    Ok(Some(report)) => self.take(report),
                    Ok(None) => break,
                    Err(error) => {
                        self.kill(format!("its process broke the protocol and was killed: {error}"));
                        break;
                    }
                },
                Some(fault) = faults.recv() => {
                    self.kill(format!("its process broke the port's protocol and was killed: {fault}"));
                    break;
                }
            }
        }
        let status = self.child.wait().await;
        self.ended(status);
    }

    fn kill(&mut self, why: String) {
        // One that has ended need not be killed.
        let _ = self.child.start_kill();
        self.exit = Some(why);
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Sandboxed(in_force) => {
                for missing in &in_force.missing {
                    let Identity { app, number, .. } = &self.identity;
                    log::warn!("{app}#{number}: its sandbox lacks {}: {}", missing.layer, missing.reason);
                }
                if let Some(process) = self.process.upgrade() {
                    // It is reported once.
                    let _ = process.in_force.set(in_force);
                }
            }
            Report::NoSandbox { reason } => self.opened(Opened::NoSandbox(reason)),
            Report::Ready => {
                note_verified(self.content);
                self.opened(Opened::Ready);
            }
            Report::Refused { reason } => self.opened(Opened::Refused(reason)),
            Report::NoThread { worker, reason } => self.opened(Opened::NoThread(worker, reason)),
            Report::WorkerEnded { worker, how } => {
                // Reported before the port is closed: so the supervisor knows before anyone finds it closed.
                if !self.running.is_stopping() {
                    self.events.exited(how);
                }
                if let Some(port) = self.ports.get(worker) {
                    close(port);
                }
                self.running.end(worker);
            }
            Report::Aborted { function, thread } => {
                self.kill(format!("{function} was called on its thread {thread:?}, which ends its process"));
            }
            Report::Log(LogReport { level, line, target, file, message }) => {
                if self.reports.is_enabled(level, &target) {
                    let (target, file) = (target.as_str().into(), file.as_str().into());
                    self.reports.log(&LogRecord {
                        level,
                        line,
                        target,
                        file,
                        message: message.as_str().into(),
                    });
                }
            }
            Report::Panicked(panic) => self.reports.panicked(panic, &self.library),
        }
    }

    fn opened(&self, opened: Opened) {
        // Nobody may wait for it any more.
        let _ = self.note_ready.send(Some(opened));
    }

    /// The process has ended: so have all of its workers.
    fn ended(self, status: io::Result<ExitStatus>) {
        let end = match (&self.exit, status) {
            (Some(why), _) => why.clone(),
            (None, Ok(status)) => format!("its process ended with {}", describe(status)),
            (None, Err(error)) => format!("its process ended: {error}"),
        };
        let fault = self.read_fault();
        let end = fault.as_ref().map_or(end, FaultEntry::summary);
        if let Some(fault) = fault {
            self.events.faulted(fault);
        }
        let is_ready = self.note_ready.borrow().is_some();
        if !is_ready {
            self.opened(Opened::Ended(end));
        } else if !self.running.stop() {
            self.events.exited(end);
        }
        for (worker, port) in self.ports.iter().enumerate() {
            close(port);
            self.running.end(worker);
        }
    }
}

impl Monitor {
    /// The fault that has ended the process, if it has recorded one.
    fn read_fault(&self) -> Option<FaultEntry> {
        let mut record = Vec::new();
        let mut file = &self.fault;
        file.rewind().ok()?;
        file.take(FAULT_LIMIT).read_to_end(&mut record).ok()?;
        let mut fault = report::read(&record, &self.library)?;
        (fault.own_process, fault.resolved) = (true, true);
        fault.app = Some(self.identity.app.to_string());
        fault.generation = Some(self.identity.number);
        for (worker, port) in self.ports.iter().enumerate() {
            let running = self.requests.request_of(worker);
            port.settle();
            port.requests_at_fault(|request| {
                let is_it = fault.worker == Some(worker) && running == Some(request.id);
                let (request_id, request) = (request.request_id.to_owned(), request.line.to_owned());
                let request = FaultRequest { worker, request_id, request };
                if is_it { fault.request = Some(request) } else { fault.candidates.push(request) }
            });
        }
        if fault.request.is_some() {
            fault.candidates.clear();
        }
        Some(fault)
    }
}

/// Closes the port of a worker that has ended, when what the worker has sent before is fetched.
fn close(port: &Port) {
    if let Some(inlet) = port.inlet() {
        // A process that lives on may write without an end.
        for _ in 0..LAST_FETCHES {
            if !inlet.is_filled() {
                break;
            }
            inlet.fetch();
            std::thread::yield_now();
        }
    }
    port.close();
}

/// The file of a library, for a process that may run as another user, who cannot open a file of the host's: it gets a copy in
/// memory.
fn library_file(path: &Path, for_another_user: bool) -> io::Result<File> {
    let mut file = File::open(path)?;
    if !for_another_user {
        return Ok(file);
    }
    let mut copy =
        File::from(memfd_create("atoll-library", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    io::copy(&mut file, &mut copy)?;
    fcntl_add_seals(&copy, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(copy)
}

/// The next report; `None`: the process has closed its socket.
async fn receive(input: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Report>> {
    let mut start = [0; 4];
    match input.read_exact(&mut start).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let mut bytes = vec![0; control::length_of(start)?];
    input.read_exact(&mut bytes).await?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}
