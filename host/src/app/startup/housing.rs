//! Loading a library where its app runs: in this process, or in a separate one.

use std::sync::Arc;

use super::error::StartupError;
use super::plan::Plan;
use crate::abi::library_context::LibraryContext;
use crate::app::live_generation::Housing;
use crate::config::{Isolation, SandboxSettings};
use crate::generation::app_process::{AppProcess, ProcessError, ProcessEvents, ProcessPlan};
use crate::generation::handle::{Generation, Identity, Shape};
use crate::library::inspect::Inspected;
use crate::observe::entries::FaultEntry;
use crate::observe::faults::Faults;

/// Loads the library into this process, and starts a thread for each worker.
pub(super) async fn in_host(
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
pub(super) async fn in_process(
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
