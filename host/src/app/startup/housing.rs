//! Loading a library where its app runs: in this process, or in a separate one.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::data_folder;
use super::error::StartupError;
use super::exits::Exits;
use super::plan::Plan;
use crate::abi::library_context::LibraryContext;
use crate::abi::queued_reports::QueuedReports;
use crate::abi::reports::ToAppLog;
use crate::app::handle::App;
use crate::app::live_generation::Housing;
use crate::config::{Isolation, SandboxSettings};
use crate::generation::app_process::{AppProcess, ProcessError, ProcessEvents, ProcessPlan};
use crate::generation::handle::{Generation, Identity, Shape};
use crate::library::check::CheckError;
use crate::library::inspect::Inspected;
use crate::observe::entries::FaultEntry;
use crate::observe::faults::Faults;
use crate::sandbox::{FileAccess, FileRule, Policy, Preset};

/// Loads the library into this process, and starts a thread for each worker.
pub(super) async fn in_host(
    plan: &Plan,
    identity: Identity,
    inspected: Inspected,
    shape: Shape,
    exits: &Exits,
) -> Result<(Generation, Housing), StartupError> {
    let (app, number) = (identity.app.clone(), identity.number);
    let reports = QueuedReports::new(ToAppLog::new(app.clone(), number, identity.app_log.clone()));
    let context = LibraryContext::with_reports(app, number, Arc::new(reports));
    context.set_thread_stack(shape.stack_size);
    let loaded = plan.loader.load(inspected, context).await?;
    let (exits, context) = (exits.clone(), loaded.context().clone());
    let (generation, threads) =
        Generation::on_threads(identity, context, loaded.root(), shape, &plan.call_sink, move |reason| {
            exits.report(reason);
        });
    Ok((generation, Housing::Host { loaded, threads }))
}

/// Has a separate process load the library and start the workers.
pub(super) async fn in_process(
    plan: &Plan,
    identity: Identity,
    inspected: Inspected,
    shape: Shape,
    policy: Option<Policy>,
    exits: &Exits,
) -> Result<(Generation, Housing), StartupError> {
    let blank = plan.blanks.take(policy.as_ref()).map_err(ProcessError::Start)?;
    let next = policy.clone();
    let settings = plan.app.settings();
    let events = Events { exits: exits.clone(), faults: plan.faults.clone() };
    let process_plan = ProcessPlan { library: &inspected, shape, policy, limit: settings.start_timeout() };
    let (generation, process) =
        AppProcess::start(blank, identity, process_plan, &plan.call_sink, events).await?;
    // The next app is probably one of the same kind.
    plan.blanks.refill(next.as_ref());
    Ok((generation, Housing::Process { copy: Some(inspected), process }))
}

/// The data folder of an app, and what its process may do; `None`: what its user may. With the preset for ordinary programs, that
/// is to read `own_folder`.
pub(super) async fn data_and_policy(
    app: &App,
    isolation: Isolation,
    own_folder: Option<PathBuf>,
) -> Result<(Option<PathBuf>, Option<Policy>), StartupError> {
    let settings = app.settings();
    // One that is moved had none in the host, either.
    let is_process = isolation == Isolation::Process && settings.isolation == Isolation::Process;
    let sandbox = settings.sandbox.as_ref().filter(|_| is_process);
    let accounts = sandbox.map(SandboxSettings::accounts).transpose();
    let accounts = accounts.map_err(|error| ProcessError::Sandbox(error.to_string()))?.flatten();
    let (name, folder) = (app.registered_name().to_owned(), settings.data.clone());
    // Without a folder, there are no files to look at.
    let has_folder = folder.is_some();
    let find = move || data_folder::of(folder.as_deref(), &name, accounts.as_ref());
    let (data, account) = if has_folder {
        spawn_blocking(find).await.map_err(|error| CheckError::Thread(error.into()))??
    } else {
        find()?
    };
    let mut policy = sandbox.map(SandboxSettings::policy);
    if let Some(policy) = &mut policy {
        policy.account = account;
        let own_folder =
            own_folder.filter(|_| sandbox.is_some_and(|sandbox| sandbox.preset == Preset::Standard));
        // One that is not there is reported when it is to be the working directory.
        let own = own_folder.filter(|folder| folder.is_dir()).map(|folder| (FileAccess::Read, folder));
        let data = data.clone().map(|data| (FileAccess::ReadWrite, data));
        for (access, folder) in own.into_iter().chain(data) {
            let rule = FileRule::new(access, &folder);
            policy.files.push(rule.map_err(|error| ProcessError::Sandbox(error.to_string()))?);
        }
    }
    Ok((data, policy))
}

/// What is done when something happens to the process of a generation.
struct Events {
    exits: Exits,
    faults: Faults,
}

impl ProcessEvents for Events {
    fn exited(&self, reason: String) {
        self.exits.report(reason);
    }

    fn faulted(&self, fault: FaultEntry) {
        log::error!("{}", fault.report_with_backtrace());
        self.faults.add_of_app(fault);
        let faults = self.faults.clone();
        // All apps would wait for a disk that is busy.
        spawn_blocking(move || {
            if let Err(error) = faults.save() {
                log::warn!("cannot keep the fault: {error}");
            }
        });
    }
}
