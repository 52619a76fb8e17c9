//! Having a process open a library.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use atoll_port::shared_memory::{ProcessLink, SharedMemory, lane_descriptors};
use atoll_port::{CallSink, Warnings, Watch, take_lane};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::clock::ProcessClock;
use super::control_group;
use super::error::ProcessError;
use super::handle::{AppProcess, Kill};
use super::monitor::{Monitor, ProcessEvents};
use crate::abi::reports::{Reports, ToAppLog};
use crate::generation::handle::{Generation, Identity, Shape};
use crate::generation::running::Running;
use crate::library::inspect::Inspected;
use crate::library::loaded::verified::Verified;
use crate::observe::version_name::app_of;
use crate::process::blank::Blank;
use crate::process::control::{self, Opening, Order};
use crate::sandbox::{InForce, Policy};

/// How many bytes the record of a fault may have: more than is written.
const FAULT_SIZE: usize = 8 << 20;

/// The libraries that app processes have found to have the host's interface. This process does not rely on that.
static VERIFIED: Verified = Verified::new();

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
        let ProcessPlan { library, shape, mut policy, limit } = plan;
        let content = library.staged().hash();
        let no_lane = || io::Error::other("too many threads of this process wait for app processes");
        let home = take_lane().ok_or_else(no_lane)?;
        let (report_breach, breaches) = unbounded_channel();
        // Without a receiver, the process has ended.
        let on_breach = Arc::new(move |breach| drop(report_breach.send(breach)));
        let link = ProcessLink::new(shape.workers, home, on_breach)?;
        let warnings: Arc<dyn Warnings> = identity.app_log.warnings().clone();
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bells = (0..shape.workers).map(|_| bell()).collect::<Result<Vec<OwnedFd>, _>>();
        let bells = bells.map_err(io::Error::from)?;
        let mut ports = Vec::with_capacity(shape.workers);
        let app: Arc<str> = app_of(&identity.app).into();
        for (worker, bell) in bells.iter().enumerate() {
            let app = app.clone();
            let bell = bell.try_clone()?;
            ports.push(link.port(worker, bell, app, shape.limits, warnings.clone(), call_sink.clone())?);
        }
        link.host.seal_writing()?;

        let (group, in_force) = match &mut policy {
            Some(policy) => control_group::limit(policy, &identity, blank.child.id())?,
            None => (None, InForce::default()),
        };
        let memory = policy.as_ref().and_then(|policy| policy.limits.memory);
        let is_another_user = policy.as_ref().is_some_and(|policy| policy.account.is_some());
        let paths = library.staged().open_paths();
        let file = library_file(&paths.library, is_another_user)?;
        let needed: Vec<File> = paths
            .needed
            .iter()
            .map(|needed| library_file(&needed.path, is_another_user))
            .collect::<Result<_, _>>()?;
        let fault = SharedMemory::new("atoll-fault", FAULT_SIZE)?;
        let reports = ToAppLog::new(identity.app.clone(), identity.number, identity.app_log.clone());
        let opening = Opening {
            app: identity.app.to_string(),
            generation: identity.number,
            workers: shape.workers,
            home,
            needed: paths.needed.into_iter().map(|needed| needed.name).collect(),
            searched: paths.searched,
            content,
            is_verified: VERIFIED.contains(content),
            log_level: reports.max_level(),
            stack_size: shape.stack_size,
            folder: shape.folder,
            policy,
        };
        let lanes = lane_descriptors()?;
        let own = [file.as_fd(), fault.as_fd(), link.host.as_fd(), link.worker.as_fd()].into_iter();
        let descriptors: Vec<BorrowedFd<'_>> = own
            .chain(needed.iter().map(AsFd::as_fd))
            .chain(bells.iter().map(AsFd::as_fd))
            .chain(lanes)
            .collect();
        let Blank { child, control, .. } = blank;
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
        let (note_end, ended) = watch::channel(false);
        let (opened, is_open) = oneshot::channel();
        let process = Arc::new(Self {
            id: child.id(),
            running: Arc::new(Running::new(shape.workers)),
            orders,
            kill: Arc::<Kill>::default(),
            ended,
            heap_use: link.heap_use()?,
            clock: Arc::new(ProcessClock::new(child.id())),
            in_force: Arc::new(OnceLock::new()),
            requests: Arc::new(link.running(shape.workers)?),
        });
        let monitor = Monitor {
            identity: identity.clone(),
            child,
            library: library.staged().path().to_owned(),
            reports: Arc::new(reports),
            ports: ports.clone(),
            running: process.running.clone(),
            in_force: process.in_force.clone(),
            by_host: in_force,
            group,
            memory,
            heap_use: link.heap_use()?,
            clock: process.clock.clone(),
            events: Box::new(events),
            fault,
            requests: process.requests.clone(),
            opened: Some(opened),
            _watches: watches.ok_or_else(no_lane)?,
            killed: None,
        };
        let kill = process.kill.clone();
        spawn_local(async move {
            monitor.run(BufReader::new(input), breaches, kill).await;
            // Nobody may wait for it.
            let _ = note_end.send(true);
        });
        match timeout(limit, is_open).await {
            Ok(Ok(opened)) => opened?,
            Ok(Err(_gone)) => return Err(ProcessError::Ended("its process ended".to_owned())),
            Err(_elapsed) => return Err(ProcessError::TimedOut(limit)),
        }
        VERIFIED.insert(content);
        Ok((Generation::new(identity, ports, process.clone()), process))
    }
}

/// The file of a library, for a process that may run as another user, who cannot open a file of the host's: it gets a copy in
/// memory.
fn library_file(path: &Path, is_another_user: bool) -> io::Result<File> {
    let mut file = File::open(path)?;
    if !is_another_user {
        return Ok(file);
    }
    let mut copy =
        File::from(memfd_create("atoll-library", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    io::copy(&mut file, &mut copy)?;
    fcntl_add_seals(&copy, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(copy)
}
