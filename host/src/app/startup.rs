//! From a file on disk to a generation that is ready: staged, inspected, loaded, started.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use atoll_plugin::protocol::Start;
use atoll_port::{CallSink, Limits};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::abi::library_context::LibraryContext;
use crate::app::handle::App;
use crate::app::libraries::Library;
use crate::app::lifecycle::{Cause, Number};
use crate::app::live_generation::{Housing, LiveGeneration};
use crate::app::pins::Pins;
use crate::app::prepare::{Preparation, Prepared};
use crate::app::teardown;
use crate::config::{Isolation, SandboxSettings};
use crate::generation::app_process::{AppProcess, ProcessError, ProcessEvents, ProcessPlan};
use crate::generation::handle::{Generation, Identity, Shape};
use crate::library::check::CheckError;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::loaded::LoadError;
use crate::library::loader::{LoadMode, Loader};
use crate::library::preflight::{OpenFailure, Passed, Preflight};
use crate::library::resource_fault;
use crate::library::source::Source;
use crate::library::stage::{Kept, Original, StageError, Staging};
use crate::observe::entries::FaultEntry;
use crate::observe::faults::Faults;
use crate::observe::history::{State, Transition};
use crate::process::pool::BlankPool;
use atoll_port::StartError;

/// How often a library that is written to while it is copied is copied again.
const STAGE_ATTEMPTS: usize = 50;

/// How long new requests may wait for the predecessor's to end, so that its state is saved whole.
const HOLD_LIMIT: Duration = Duration::from_secs(2);

/// What a supervisor wants started.
pub(crate) struct Plan {
    pub(crate) app: Arc<App>,
    pub(crate) number: Number,
    /// The path that `apps.json` names.
    pub(crate) path: PathBuf,
    /// What it leads to, or what a build has made of it.
    pub(crate) library: Library,
    /// When the change was noticed that this brings into force.
    pub(crate) noticed: Option<Instant>,
    /// An earlier library, instead of that one.
    pub(crate) rollback: Option<Kept>,
    /// What was made ready ahead of the library, if it is still that.
    pub(crate) prepared: Option<Preparation>,
    /// Nothing is to be done if the library has this content.
    pub(crate) unless: Option<ContentHash>,
    /// The generation whose state is handed over.
    pub(crate) predecessor: Option<Arc<Generation>>,
    /// Brings the app's requests to other apps.
    pub(crate) call_sink: Arc<dyn CallSink>,
    /// Makes new requests wait for this generation, instead of going to the predecessor.
    pub(crate) hold: Box<dyn Fn() -> LocalBoxFuture<'static, ()>>,
    /// Called with the reason when a worker returns unexpectedly.
    pub(crate) on_exit: Arc<dyn Fn(String) + Send + Sync>,
    /// Takes the predecessor down, where there is room for one library only.
    pub(crate) give_way: Box<dyn Fn()>,
    pub(crate) loader: Rc<dyn Loader>,
    /// Where processes for apps come from.
    pub(crate) blanks: BlankPool,
    /// Where the faults that end them are kept.
    pub(crate) faults: Faults,
    /// What opens the library in a process first, if it is to be.
    pub(crate) preflight: Option<Arc<Preflight>>,
    pub(crate) staging: Arc<Staging>,
    pub(crate) pins: Pins,
}

/// Why a generation failed to start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartupError {
    #[error("{0}")]
    Build(String),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the library is unchanged")]
    Unchanged,
    #[error("the earlier library is no longer kept (see the setting `keep`)")]
    NotKept,
    #[error("the host failed to start it: {0}; this is a bug in the host, please report it")]
    Panicked(String),
}

impl StartupError {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            // Nothing but another file changes that.
            Self::Check(CheckError::Stage(
                StageError::Shared { .. } | StageError::TooLarge { .. } | StageError::NotAFile { .. },
            )) => Cause::Unusable,
            Self::Unchanged => Cause::Unchanged,
            // What a compiler says may contain anything.
            Self::Build(_) => Cause::Build,
            _ if self.is_of_the_machine() => Cause::Machine,
            Self::Process(ProcessError::Refused(_)) => Cause::Unusable,
            Self::Check(CheckError::Open(error)) if error.may_pass() => Cause::Failed,
            Self::Check(CheckError::Stage(_) | CheckError::Thread(_))
            | Self::Process(_)
            | Self::Start(_)
            | Self::NotKept
            | Self::Panicked(_) => Cause::Failed,
            Self::Check(_) => Cause::Unusable,
        }
    }

    fn is_of_the_machine(&self) -> bool {
        match self {
            Self::Check(CheckError::Thread(error) | CheckError::Load(LoadError::Thread(error)))
            | Self::Process(ProcessError::Start(error) | ProcessError::Thread { reason: error, .. })
            | Self::Start(StartError::Thread { reason: error, .. }) => resource_fault::has_no_thread(error),
            Self::Check(CheckError::Load(LoadError::Open(error))) => resource_fault::is_at_fault(error),
            Self::Check(CheckError::Open(OpenFailure::Process(error))) => {
                resource_fault::has_no_thread(error)
            }
            Self::Check(CheckError::Open(error @ OpenFailure::Refused(_))) => {
                resource_fault::is_at_fault(error)
            }
            // A constructor's words may contain anything.
            Self::Check(CheckError::Open(_)) => false,
            // Of tokio, when it has no thread for work that blocks.
            Self::Panicked(panic) if panic.contains("(os error 11)") => true,
            error => resource_fault::is_at_fault(error),
        }
    }
}

/// Brings one generation up to where it can serve; after an error nothing of it is left.
pub(crate) async fn start_up(mut plan: Plan) -> Result<LiveGeneration, StartupError> {
    let inspected = inspect(&mut plan).await?;
    let hash = inspected.staged().hash();
    let settings = plan.app.settings();
    let isolation = plan.app.isolation(hash);
    let preflight = match isolation {
        Isolation::Thread | Isolation::Auto => preflight(&plan, &inspected).await?,
        // It opens the library itself.
        Isolation::Process => None,
    };
    let name = plan.app.name().clone();

    let early_states = match plan.loader.prepare(hash).await {
        LoadMode::SideBySide => None,
        LoadMode::OneAtATime => {
            let states = hand_over(&plan, settings.start_timeout()).await;
            (plan.give_way)();
            // All others wait until it is gone.
            if let Some(predecessor) = &plan.predecessor {
                predecessor.shutdown().cancel_endless();
            }
            Some(states)
        }
    };
    let identity = Identity {
        app: name,
        number: plan.number,
        version: inspected.stamp().version.clone(),
        app_log: plan.app.app_log().clone(),
        noticed: plan.noticed,
    };
    let limits = Limits { queue: settings.queue, calls: settings.max_calls, message: settings.message_limit };
    let shape = Shape { workers: settings.workers, stack_size: settings.stack_size, limits };
    let (generation, housing) = match isolation {
        Isolation::Thread | Isolation::Auto => in_host(&plan, identity, inspected, shape).await?,
        Isolation::Process => in_process(&plan, identity, inspected, shape).await?,
    };
    let place = generation.process().map(|process| format!("in process {}", process.id));
    record(&plan, State::Loaded, place.unwrap_or_default());
    let live = LiveGeneration { generation: Arc::new(generation), housing, hash, preflight };
    let workers = settings.workers;
    let plural = if workers == 1 { "" } else { "s" };
    record(&plan, State::Starting, format!("{workers} worker{plural}"));

    let start = Start {
        app: plan.app.name().to_string(),
        generation: plan.number,
        worker: 0,
        env: settings.env.clone(),
        config: settings.config.clone(),
        state: None,
        body_limit: settings.body_limit as u64,
    };
    let states = match early_states {
        Some(states) => states,
        None => hand_over(&plan, settings.start_timeout()).await,
    };
    if let Err(error) = live.generation.start(start, states, settings.start_timeout()).await {
        live.generation.retire();
        teardown::tear_down(&plan.pins, &plan.app, live, drop).await;
        return Err(error.into());
    }
    let (staging, original) = (plan.staging.clone(), Original::new(live.housing.staged()));
    let kept = spawn_blocking(move || staging.keep_original(&original, plan.number, settings.keep)).await;
    let kept =
        kept.map_err(|error| error.to_string()).and_then(|kept| kept.map_err(|error| error.to_string()));
    if let Err(error) = kept {
        log::warn!("{}: cannot keep its library for a rollback: {error}", plan.app.name());
    }
    Ok(live)
}

/// Loads the library into this process, and starts a thread for each worker.
async fn in_host(
    plan: &Plan,
    identity: Identity,
    inspected: Inspected,
    shape: Shape,
) -> Result<(Generation, Housing), StartupError> {
    let context = LibraryContext::new(identity.app.clone(), identity.number, identity.app_log.clone());
    context.set_thread_stack(shape.stack_size);
    let loaded = plan.loader.load(inspected, context).await?;
    let (on_exit, context) = (plan.on_exit.clone(), loaded.context().clone());
    let (generation, threads) =
        Generation::on_threads(identity, context, loaded.root(), shape, &plan.call_sink, move |reason| {
            on_exit(reason);
        });
    Ok((generation, Housing::Host { loaded, threads }))
}

/// Has a separate process load the library and start the workers.
async fn in_process(
    plan: &Plan,
    identity: Identity,
    inspected: Inspected,
    shape: Shape,
) -> Result<(Generation, Housing), StartupError> {
    let blank = plan.blanks.take().map_err(ProcessError::Start)?;
    let settings = plan.app.settings();
    // One that is moved had none in the host, either.
    let sandbox = settings.sandbox.as_ref().filter(|_| settings.isolation == Isolation::Process);
    let policy = sandbox.map(SandboxSettings::policy).transpose();
    let policy = policy.map_err(|error| ProcessError::Sandbox(error.to_string()))?;
    let events = Events { on_exit: plan.on_exit.clone(), faults: plan.faults.clone() };
    let process_plan = ProcessPlan { library: &inspected, shape, policy, limit: settings.start_timeout() };
    let (generation, process) =
        AppProcess::start(blank, identity, process_plan, &plan.call_sink, events).await?;
    plan.blanks.fill();
    Ok((generation, Housing::Process { copy: inspected, process }))
}

/// Opens the library in a process, if it is to be, so that one that crashes or hangs never reaches the host.
async fn preflight(plan: &Plan, inspected: &Inspected) -> Result<Option<Passed>, StartupError> {
    let Some(preflight) = &plan.preflight else { return Ok(None) };
    let passed = preflight
        .pass(inspected.staged(), plan.app.settings().start_timeout())
        .await
        .map_err(CheckError::from)?;
    record(plan, State::Preflighted, passed.to_string());
    Ok(Some(passed))
}

/// What is done when something happens to the process of a generation.
struct Events {
    on_exit: Arc<dyn Fn(String) + Send + Sync>,
    faults: Faults,
}

impl ProcessEvents for Events {
    fn exited(&self, reason: String) {
        (self.on_exit)(reason);
    }

    fn faulted(&self, fault: FaultEntry) {
        log::error!("{}", fault.report_with_backtrace());
        if let Err(error) = self.faults.add_of_app(fault) {
            log::warn!("cannot keep the fault: {error}");
        }
    }
}

/// Copies the library until the copy is of one piece, and reads it; or takes what was prepared.
async fn inspect(plan: &mut Plan) -> Result<Inspected, StartupError> {
    let mut prepared = match plan.prepared.take() {
        Some(preparation) => preparation.take().await,
        None => None,
    };
    for attempt in 1.. {
        let wanted = Wanted {
            app: plan.app.name().clone(),
            path: plan.path.clone(),
            limit: plan.app.settings().library_limit as u64,
            library: plan.library.clone(),
            rollback: plan.rollback.clone(),
            prepared: prepared.take(),
            unless: plan.unless,
        };
        let staging = plan.staging.clone();
        let copied = spawn_blocking(move || wanted.copy(&staging)).await;
        match copied.map_err(|error| CheckError::Thread(error.into()))? {
            Err(StartupError::Check(CheckError::Stage(error)))
                if error.is_temporary() && attempt < STAGE_ATTEMPTS =>
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(error),
            Ok((inspected, origin)) => {
                let (staged, stamp) = (inspected.staged(), inspected.stamp());
                let what = format!("{} bytes from {}{origin}", staged.size(), staged.source().display());
                record(plan, State::Staged, what);
                record(plan, State::Inspected, format!("{} {}, {}", stamp.name, stamp.version, stamp.rustc));
                return Ok(inspected);
            }
        }
    }
    unreachable!("the last attempt returns")
}

/// The copy that is wanted.
struct Wanted {
    app: Arc<str>,
    path: PathBuf,
    limit: u64,
    library: Library,
    rollback: Option<Kept>,
    prepared: Option<Prepared>,
    unless: Option<ContentHash>,
}

impl Wanted {
    /// Makes or finds it, and says what is special about that.
    fn copy(self, staging: &Staging) -> Result<(Inspected, &'static str), StartupError> {
        let (mut package, mut origin) = (None, None);
        let staged = match (self.rollback, self.library) {
            (Some(kept), _) => staging.restage(&self.app, &kept),
            (None, Library::Failed(error)) => return Err(StartupError::Build(error)),
            (None, library) => {
                let source = Source::locate(&self.path, &self.app);
                package = source.package().map(|package| package.name.clone());
                let library = match &library {
                    Library::Built(file) => file,
                    _ => source.library().map_err(CheckError::from)?,
                };
                origin = source.package().map(|package| (library.to_owned(), package.folder.clone()));
                let fits = |copy: &Inspected| {
                    copy.staged().size() <= self.limit
                        && package.as_ref().is_none_or(|package| *package == copy.stamp().name)
                };
                let prepared = self.prepared.and_then(|prepared| prepared.copy_of(library));
                if let Some(copy) = prepared.filter(fits) {
                    claim(staging, &self.app, origin.as_ref())?;
                    return Ok((copy, ", staged before"));
                }
                staging.stage_up_to(self.limit, &self.app, library)
            }
        };
        let staged = staged.map_err(CheckError::from)?;
        if self.unless == Some(staged.hash()) {
            return Err(StartupError::Unchanged);
        }
        let inspected = staged.inspect(package.as_deref()).map_err(CheckError::from)?;
        claim(staging, &self.app, origin.as_ref())?;
        Ok((inspected, ""))
    }
}

/// Takes note of the library and the folder of the crate that it is built from.
fn claim(staging: &Staging, app: &str, origin: Option<&(PathBuf, PathBuf)>) -> Result<(), CheckError> {
    let Some((library, folder)) = origin else { return Ok(()) };
    Ok(staging.claim(app, library, folder)?)
}

/// The states that the predecessor's workers hand over. It gets no request while they are saved and the next
/// generation starts, so that nothing is missing from them, and for the same reason its WebSockets and server-sent events
/// end. A predecessor that cannot save is reported, and the start is a cold one.
async fn hand_over(plan: &Plan, limit: Duration) -> Vec<Value> {
    let Some(predecessor) = plan.predecessor.as_ref().filter(|generation| generation.saves()) else {
        return Vec::new();
    };
    (plan.hold)().await;
    predecessor.shutdown().cancel_endless();
    let name = plan.app.name();
    let left = predecessor.drain(HOLD_LIMIT).await;
    if left > 0 {
        log::warn!(
            "{name}: {left} requests were still running {} ms after the change; their changes to the state are not \
            handed over",
            HOLD_LIMIT.as_millis()
        );
    }
    predecessor.save(limit).await.unwrap_or_else(|error| {
        log::warn!("{name}: cannot save its state, starting without it: {error}");
        Vec::new()
    })
}

fn record(plan: &Plan, state: State, reason: String) {
    log::debug!("{}#{} {state}: {reason}", plan.app.name(), plan.number);
    plan.app.record(Transition { at: SystemTime::now(), generation: plan.number, state, reason });
}
