//! What a process reports, and how it ends.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};

use atoll_plugin::abi::LogRecord;
use atoll_port::shared_memory::{FrameError, HeapUse, RunningRequests, SharedMemory};
use atoll_port::{Port, Watch};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::process::Child;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::clock::ProcessClock;
use super::error::ProcessError;
use super::handle::{EXIT_LIMIT, Kill};
use crate::abi::fault::record::REQUESTS;
use crate::abi::fault::report;
use crate::abi::reports::{Reports, ToAppLog};
use crate::generation::handle::Identity;
use crate::generation::running::Running;
use crate::observe::entries::{FaultEntry, FaultRequest};
use crate::observe::exit_status::describe;
use crate::process::control::{self, LogReport, Report};
use crate::process::control_groups::ControlGroup;
use crate::sandbox::InForce;

/// How often the port of a worker that has ended is looked at, at the most.
const LAST_FETCHES: usize = 256;

/// How many places of the stack a panic may have.
const PLACES: usize = 128;

/// What happens to a process.
pub(crate) trait ProcessEvents {
    /// A worker has ended unexpectedly, or all have; why.
    fn exited(&self, reason: String);

    /// A fault has ended it.
    fn faulted(&self, fault: FaultEntry);
}

/// Receives what a process reports, until it has ended.
pub(super) struct Monitor {
    pub(super) identity: Identity,
    pub(super) child: Child,
    /// The file of the library.
    pub(super) library: PathBuf,
    pub(super) reports: Arc<ToAppLog>,
    pub(super) ports: Vec<Arc<Port>>,
    pub(super) running: Arc<Running>,
    pub(super) in_force: Arc<OnceLock<InForce>>,
    /// What the host has put into force from outside.
    pub(super) by_host: InForce,
    /// The process's control group. It ends with this.
    pub(super) group: Option<ControlGroup>,
    /// How much memory the process may use, in bytes.
    pub(super) memory: Option<u64>,
    pub(super) heap_use: HeapUse,
    pub(super) clock: Arc<ProcessClock>,
    pub(super) events: Box<dyn ProcessEvents>,
    /// Where the process records a fault.
    pub(super) fault: SharedMemory,
    pub(super) requests: Arc<RunningRequests>,
    /// Receives what comes of opening the library. `None`: it has.
    pub(super) opened: Option<oneshot::Sender<Result<(), ProcessError>>>,
    /// Fetch what is for no request.
    pub(super) _watches: Vec<Watch>,
    /// Why the process was killed, if it has done something wrong.
    pub(super) killed: Option<String>,
}

impl Monitor {
    /// Receives what the process reports, and kills it for what is no report, for a breach of its port's protocol, and when
    /// it is to be killed. Comes back when it has ended.
    pub(super) async fn run(
        mut self,
        mut input: BufReader<OwnedReadHalf>,
        mut breaches: UnboundedReceiver<FrameError>,
        kill: Arc<Kill>,
    ) {
        loop {
            tokio::select! {
                report = receive(&mut input) => match report {
                    Ok(Some(report)) => self.take(report).await,
                    Ok(None) => break,
                    Err(error) => {
                        self.kill(format!("its process broke the protocol and was killed: {error}"));
                        break;
                    }
                },
                Some(breach) = breaches.recv() => {
                    self.kill(format!("its process broke the port's protocol and was killed: {breach}"));
                    break;
                }
                () = kill.token.cancelled() => {
                    // One that has ended need not be killed.
                    let _ = self.child.start_kill();
                    self.killed = kill.why.get().cloned();
                    break;
                }
            }
        }
        let status = match timeout(EXIT_LIMIT, self.exit()).await {
            Ok(status) => status,
            Err(_elapsed) => {
                self.kill("its process closed its socket and was killed".to_owned());
                self.exit().await
            }
        };
        self.ended(status).await;
    }

    /// Waits for the end of the process, and notes what CPU time it has used before the system forgets that.
    async fn exit(&mut self) -> io::Result<ExitStatus> {
        self.clock.end().await;
        self.child.wait().await
    }

    fn kill(&mut self, why: String) {
        // One that has ended need not be killed.
        let _ = self.child.start_kill();
        self.killed = Some(why);
    }

    async fn take(&mut self, report: Report) {
        match report {
            Report::Sandboxed(mut in_force) => {
                in_force.extend(std::mem::take(&mut self.by_host));
                for missing in &in_force.missing {
                    let Identity { app, number, .. } = &self.identity;
                    log::warn!("{app}#{number}: its sandbox lacks {}: {}", missing.layer, missing.reason);
                }
                // It is reported once.
                let _ = self.in_force.set(in_force);
            }
            Report::NoSandbox { reason } => self.opened(Err(ProcessError::Sandbox(reason))),
            Report::Ready => self.opened(Ok(())),
            Report::Refused { reason } => self.opened(Err(ProcessError::Refused(reason))),
            Report::NoThread { worker, number } => {
                let reason = io::Error::from_raw_os_error(number);
                self.opened(Err(ProcessError::Thread { worker, reason }));
            }
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
            Report::Log(LogReport { level, line, target, file, message, fields, spans }) => {
                if self.reports.is_enabled(level, &target) {
                    let [target, file, message, fields, spans] =
                        [&*target, &*file, &*message, &*fields, &*spans].map(Into::into);
                    self.reports.log(&LogRecord { level, line, target, file, message, fields, spans });
                }
            }
            Report::Panicked(mut panic) => {
                panic.places.truncate(PLACES);
                let (reports, library) = (self.reports.clone(), self.library.clone());
                // To read the debug information may take long. What the process reports next waits for that, as its worker
                // would in the host.
                let _ = spawn_blocking(move || reports.panicked(panic, &library)).await;
            }
        }
    }

    fn opened(&mut self, result: Result<(), ProcessError>) {
        if let Some(opened) = self.opened.take() {
            // Nobody may wait for it any more.
            let _ = opened.send(result);
        }
    }

    /// The process has ended: so have all of its workers.
    async fn ended(mut self, status: io::Result<ExitStatus>) {
        let record = match &status {
            Ok(status) if status.signal().is_some() => self.fault.read_written().unwrap_or_default(),
            _ => Vec::new(),
        };
        let fault = report::read_head(&record).map(|fault| self.attribute(fault));
        let end = match (&fault, self.killed.take(), status) {
            (Some(fault), ..) => fault.summary(),
            (None, Some(why), _) => why,
            (None, None, Ok(status)) => {
                let limit = self
                    .memory
                    .map(|limit| format!(" (memory = {limit} of its sandbox)"))
                    .unwrap_or_default();
                let cause = match self.heap_use.failed() {
                    Some(bytes) => format!(" after it got no {bytes} bytes of memory{limit}"),
                    None if self.group.as_ref().is_some_and(ControlGroup::is_out_of_memory) => {
                        format!(" after it used more memory than it may{limit}")
                    }
                    None => String::new(),
                };
                format!("its process ended with {}{cause}", describe(status))
            }
            (None, None, Err(error)) => format!("its process ended: {error}"),
        };
        // The next generation gets the copy of the library, which may be deleted with it before the backtrace is read.
        let opened = fault.as_ref().and_then(|_| File::open(&self.library).ok());
        if self.opened.is_some() {
            self.opened(Err(ProcessError::Ended(end)));
        } else if !self.running.stop() {
            self.events.exited(end);
        }
        for (worker, port) in self.ports.iter().enumerate() {
            close(port);
            self.running.end(worker);
        }
        if let Some(mut fault) = fault {
            let read = spawn_blocking(move || {
                let path = opened.as_ref().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd()));
                report::read_backtrace(&record, Path::new(path.as_deref().unwrap_or_default()))
            });
            let read = read.await;
            fault.backtrace = read.unwrap_or_default();
            self.events.faulted(fault);
        }
    }

    /// The fault that has ended the process, with what the host knows of it: the app, and the requests that it had.
    fn attribute(&self, mut fault: FaultEntry) -> FaultEntry {
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
        fault.candidates.truncate(REQUESTS);
        if fault.request.is_some() {
            fault.candidates.clear();
        }
        fault
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
