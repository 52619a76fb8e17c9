//! What the host orders.

use std::env;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use atoll_port::WorkerEnd;
use atoll_port::shared_memory::{HostLanes, HostLink};
use rustix::thread::set_name;

use super::denials;
use super::reports::ToHost;
use crate::abi::abort::Abort;
use crate::abi::fault::sink::{self, Sink};
use crate::abi::library_context::LibraryContext;
use crate::abi::thread_stop;
use crate::generation::runner::Runner as _;
use crate::generation::worker_threads::{Ending, WorkerThreads};
use crate::library::loaded::interface::note_verified;
use crate::library::loaded::open_library::OpenLibrary;
use crate::library::open_paths::{NeededPath, OpenPaths};
use crate::process::control::{Opening, Order, Report, receive_with};
use crate::sandbox::{FileAccess, FileRule, Policy};

/// Carries out the orders of the host until there are no more.
pub(super) fn obey(control: &Arc<UnixStream>) -> io::Result<()> {
    let mut app = None;
    while let Some((order, descriptors)) = receive_with(control)? {
        match (order, &app) {
            (Order::Prepare(shape), None) => prepare(shape.as_deref()),
            (Order::Prepare(_), Some(_)) => return Err(io::Error::other("an app is open already")),
            (Order::Open(opening), None) => app = Some(App::open(control, &opening, descriptors)?),
            (Order::Open(_), Some(_)) => return Err(io::Error::other("a second app was ordered")),
            (Order::LogLevel(level), Some(app)) => app.to_host.set_level(level),
            (Order::LogLevel(_), None) => {}
            (Order::Exit { limit_ms }, app) => {
                if let Some(App { threads: Some(threads), .. }) = app {
                    threads.wait_for_own_threads(Duration::from_millis(limit_ms));
                }
                break;
            }
        }
    }
    Ok(())
}

/// Does what can be done before it is known for which app.
fn prepare(shape: Option<&Policy>) {
    // An error is found again when there is an app.
    let _ = sink::prepare();
    if let Some(shape) = shape {
        shape.prepare_enforcement();
    }
}

/// An app that is open.
struct App {
    to_host: ToHost,
    threads: Option<WorkerThreads>,
    /// Has faults recorded.
    sink: Option<Sink>,
}

impl App {
    /// Opens the library, starts its workers, and reports what came of it.
    fn open(control: &Arc<UnixStream>, opening: &Opening, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let to_host = ToHost::new(control.clone(), opening.log_level);
        if log::set_boxed_logger(Box::new(to_host.clone())).is_ok() {
            log::set_max_level(log::LevelFilter::Warn);
        }
        name_process(&opening.app);
        let mut app = Self { to_host, threads: None, sink: None };
        let Some(mut descriptors) = Descriptors::new(opening, descriptors) else {
            let reason = "the host has sent too few descriptors".to_owned();
            app.to_host.send(&Report::Refused { reason })?;
            return Ok(app);
        };
        // Before the sandbox, whose user may not reach it.
        if let Err(error) = env::set_current_dir(&opening.folder) {
            log::warn!("cannot change to the working directory {}: {error}", opening.folder.display());
        }
        // Before the sandbox, in which the list of mappings cannot be opened. Without a record, the host knows at least how the
        // process has ended.
        let sink = descriptors.fault.take().and_then(|file| Sink::new(file.into(), None).ok());
        if let Some(policy) = &opening.policy {
            let kept = sink.iter().flat_map(Sink::descriptors).chain([control.as_raw_fd()]);
            match descriptors.complete(policy, kept).enforce() {
                Ok(in_force) => {
                    app.to_host.send(&Report::Sandboxed(in_force))?;
                    denials::report(policy.clone(), app.to_host.clone());
                }
                Err(error) => {
                    app.to_host.send(&Report::NoSandbox { reason: error.to_string() })?;
                    return Ok(app);
                }
            }
        }
        app.sink = sink;
        let report = match start(opening, descriptors, &app.to_host) {
            Ok(threads) => {
                let report = match threads.take_fault() {
                    None => Report::Ready,
                    Some((worker, error)) => {
                        Report::NoThread { worker, number: error.raw_os_error().unwrap_or(libc::EAGAIN) }
                    }
                };
                app.threads = Some(threads);
                report
            }
            Err(reason) => Report::Refused { reason },
        };
        app.to_host.send(&report)?;
        Ok(app)
    }
}

/// The descriptors that the host has sent.
struct Descriptors {
    library: OwnedFd,
    /// Those that the library needs.
    needed: Vec<OwnedFd>,
    /// The file for the record of a fault.
    fault: Option<OwnedFd>,
    host: OwnedFd,
    worker: OwnedFd,
    bells: Vec<OwnedFd>,
    lanes: Vec<OwnedFd>,
}

impl Descriptors {
    /// `None`: there are too few.
    fn new(opening: &Opening, descriptors: Vec<OwnedFd>) -> Option<Self> {
        let mut all = descriptors.into_iter();
        let (library, fault, host, worker) = (all.next()?, all.next()?, all.next()?, all.next()?);
        let needed: Vec<OwnedFd> = all.by_ref().take(opening.needed.len()).collect();
        if needed.len() < opening.needed.len() {
            return None;
        }
        let bells = all.by_ref().take(opening.workers).collect();
        Some(Self { library, needed, fault: Some(fault), host, worker, bells, lanes: all.collect() })
    }

    /// The policy with what this process needs for itself: these descriptors, and those that `kept` names.
    fn complete(&self, policy: &Policy, kept: impl Iterator<Item = RawFd>) -> Policy {
        let libraries = [&self.library].into_iter().chain(&self.needed);
        let own = libraries.clone().chain([&self.host, &self.worker]).chain(&self.bells).chain(&self.lanes);
        let mut policy = policy.clone();
        policy.descriptors.extend(own.map(AsRawFd::as_raw_fd).chain(kept));
        // For another user they are copies in memory, for which there are no rules. A path of digits is one.
        if policy.account.is_none() {
            policy.files.extend(libraries.flat_map(|file| FileRule::new(FileAccess::Read, &path_of(file))));
        }
        policy
    }

    /// Where the libraries are opened.
    fn open_paths(&self, opening: &Opening) -> OpenPaths {
        let needed = opening.needed.iter().zip(&self.needed);
        OpenPaths {
            library: path_of(&self.library),
            needed: needed
                .map(|(name, file)| NeededPath { name: name.clone(), path: path_of(file) })
                .collect(),
            searched: opening.searched.clone(),
        }
    }
}

/// A path of a file that is open.
fn path_of(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Opens the library and starts its workers.
fn start(opening: &Opening, descriptors: Descriptors, to_host: &ToHost) -> Result<WorkerThreads, String> {
    let text = |error: io::Error| error.to_string();
    let paths = descriptors.open_paths(opening);
    let Descriptors { library: _library, needed: _needed, fault: _, host, worker, bells, lanes } =
        descriptors;
    let lanes = Arc::new(HostLanes::new(lanes).map_err(text)?);

    let context = LibraryContext::with_reports(
        opening.app.as_str().into(),
        opening.generation,
        Arc::new(to_host.clone()),
    );
    if opening.is_verified {
        note_verified(opening.content);
    }
    context.set_thread_stack(opening.stack_size);
    let heap = context.heap().clone();
    let link = HostLink { host, worker, workers: opening.workers, lanes, home: opening.home };
    let heap_use = link.heap_use().map_err(text)?;
    heap.on_failure(move |size| {
        heap_use.write_failed(size as u64);
        thread_stop::note_no_memory();
    });
    let ports = link.ports(bells, move |heap_use| heap_use.write(heap.live_bytes(), heap.peak_bytes()));
    let ends = ports.map_err(text)?.into_iter().map(|port| Arc::new(WorkerEnd::new(port))).collect();

    // SAFETY: the open rule: the host has inspected the library, and this process is made to run it.
    let library = unsafe { OpenLibrary::open(paths, Some(opening.content), context.clone()) };
    let library = library.map_err(|error| error.to_string())?;
    let root = library.root();
    library.keep();
    let to_host = to_host.clone();
    Ok(WorkerThreads::spawn(context, root, ends, opening.stack_size, move |ending| {
        let report = match ending {
            Ending::Worker { worker, .. } => Report::WorkerEnded { worker, how: ending.to_string() },
            Ending::Abort(abort) => {
                let Abort { function, thread } = abort.clone();
                Report::Aborted { function, thread }
            }
        };
        // Without a host there is nobody to report to, and this process ends.
        let _ = to_host.send(&report);
    }))
}

/// Shows the app's name where processes are listed.
fn name_process(app: &str) {
    let mut name = format!("atoll:{app}").into_bytes();
    name.truncate(15);
    if let Ok(name) = std::ffi::CString::new(name) {
        // It has another name otherwise.
        let _ = set_name(&name);
    }
}
