//! From a retired generation to nothing: drained, stopped, unloaded; or pinned, and unloaded later.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{spawn_blocking, spawn_local};
use tokio::time::sleep;

use crate::abi::library_context::LibraryContext;
use crate::abi::thread_end;
use crate::app::handle::App;
use crate::app::live_generation::{Housing, LiveGeneration};
use crate::app::pins::{Entry, PinnedGeneration, Pins};
use crate::config::Isolation;
use crate::generation::handle::Generation;
use crate::generation::worker_threads::WorkerThreads;
use crate::library::inspect::Inspected;
use crate::library::loaded::{HANDLERS_END, Loaded, PinReason, Pinned};
use crate::library::own_thread::{OwnThreadError, on_own_thread};
use crate::library::preflight::has_children;
use crate::observe::history::{State, Transition};
use crate::observe::usage::Metering;

/// Each step of stopping an app that has to stop soon gets this part of the time that is left.
pub(crate) const PARTS: u32 = 4;

/// How long streams and WebSockets may take to end after the shutdown signal.
const STREAMS_END: Duration = Duration::from_secs(1);

/// The first pause before a pinned generation is looked at again, unless it reports that something has ended. Each
/// pause doubles the next.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// The longest pause before a pinned generation is looked at again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Takes a generation that admits nothing more out of the process. `gone` receives the copy of its library before the
/// generation is reported as unloaded, so that the next start finds the copy.
pub(crate) async fn tear_down(
    pins: &Pins,
    app: &Arc<App>,
    live: LiveGeneration,
    gone: impl FnOnce(Option<Inspected>),
) {
    let LiveGeneration { metering, generation, housing, hash, .. } = live;
    let (settings, lease) = (app.settings(), app.lease());
    let number = generation.number();

    record(app, number, State::Draining, format!("{} requests in flight", generation.in_flight()));
    let begun = Instant::now();
    let left = tokio::select! {
        left = generation.drain(settings.drain_timeout()) => left,
        () = lease.runs_out(PARTS) => generation.in_flight(),
    };
    generation.shutdown().cancel_all();
    let left = if left > 0 { generation.drain(lease.limited(STREAMS_END, PARTS)).await } else { 0 };
    if left > 0 {
        let why = if lease.stops_soon() {
            "as another host may run the app soon".to_owned()
        } else {
            format!("after drain_timeout_ms = {}", settings.drain_timeout_ms)
        };
        let plural = if left == 1 { "" } else { "s" };
        log::warn!("{}#{number}: cancelled {left} unfinished request{plural} {why}", app.name());
    }
    let left = tokio::select! {
        left = generation.drain_background(settings.drain_timeout().saturating_sub(begun.elapsed())) => left,
        () = lease.runs_out(PARTS) => generation.background(),
    };
    if left > 0 {
        log::warn!(
            "{}#{number}: work of `wait_until` has not ended after drain_timeout_ms = {}",
            app.name(),
            settings.drain_timeout_ms
        );
    }
    let blocked = generation.stop(lease.limited(settings.stop_timeout(), PARTS)).await;
    metering.stopped();
    let (loaded, threads) = match housing {
        Housing::Host { loaded, threads } => (loaded, threads),
        Housing::Process { copy, process } => {
            if blocked.is_empty() {
                record(app, number, State::Stopped, String::new());
                process.end(lease.limited(settings.stop_timeout(), PARTS)).await;
            } else {
                log::warn!("{generation:?}: killing its process: {}", blocked.join(", "));
                process.kill().await;
            }
            drop(metering);
            gone(copy);
            return record(app, number, State::Unloaded, String::new());
        }
    };
    loaded.context().signals().retire();
    let aborted = loaded.context().aborted().cloned();
    let unloaded = if let Some(abort) = aborted {
        Err(loaded.pin(PinReason::Aborted(abort)))
    } else if blocked.is_empty() {
        record(app, number, State::Stopped, String::new());
        threads_end(loaded.context(), lease.limited(settings.stop_timeout(), PARTS)).await;
        end_threads(&generation, &loaded).await;
        unload(loaded).await
    } else {
        let running = loaded.context().running_threads();
        Err(loaded.pin(PinReason::Workers(blocked, running)))
    };
    match unloaded {
        Ok(copy) => {
            drop(metering);
            reclaim(&threads);
            gone(Some(copy));
            record(app, number, State::Unloaded, String::new());
        }
        Err(pinned) => {
            let reason = pinned.reason().to_string();
            let entry = pin(pins, app, number, &reason);
            if settings.isolation == Isolation::Auto
                && has_children()
                && app.moved().note(Some(hash.to_string()))
            {
                log::info!(
                    "{}: its next generation runs in a separate process (isolation = auto)",
                    app.name()
                );
            }
            let pins = pins.clone();
            spawn_local(
                Remains { metering, app: app.clone(), generation, threads, pinned, entry, pins }.outlive(),
            );
            gone(None);
        }
    }
}

/// Reports that a generation stays in the process.
pub(crate) fn pin(pins: &Pins, app: &App, number: u64, reason: &str) -> Entry {
    log::warn!("{}#{number} is pinned and stays in memory: {reason}", app.name());
    record(app, number, State::Pinned, reason.to_owned());
    let app = app.name().to_string();
    pins.add(PinnedGeneration { app, generation: number, reason: reason.to_owned() })
}

/// What is left of a generation that could not be unloaded.
struct Remains {
    /// What runs of it is metered to its end.
    metering: Metering,
    app: Arc<App>,
    generation: Arc<Generation>,
    threads: Arc<WorkerThreads>,
    pinned: Pinned,
    entry: Entry,
    pins: Pins,
}

impl Remains {
    /// Unloads the generation when what has pinned it is over. Dropping this leaves it in the process for good.
    async fn outlive(mut self) {
        let mut pause = FIRST_LOOK;
        let (context, its_threads) = (self.pinned.context().clone(), self.threads.clone());
        let mut is_closed = false;
        loop {
            // Before it is looked, so that nothing is missed.
            let (worker, thread) = (its_threads.change(), context.thread_ends());
            let (workers, threads) = (self.threads.left(), context.running_threads());
            let reason = match (workers.is_empty(), threads.is_empty()) {
                // Nobody knows what its threads hold in memory.
                _ if context.aborted().is_some() => {
                    is_closed = is_closed || close_descriptors(&context).await;
                    self.pinned.reason().clone()
                }
                (false, _) => PinReason::Workers(workers, threads),
                (true, false) => PinReason::Threads(threads),
                (true, true) => {
                    self.threads.join().await;
                    match unload(self.pinned.into_library()).await {
                        Ok(_copy) => {
                            drop(self.metering);
                            reclaim(&self.threads);
                            log::info!("{:?} is no longer pinned and was unloaded", self.generation);
                            record(&self.app, self.generation.number(), State::Unloaded, String::new());
                            return self.pins.remove(self.entry);
                        }
                        Err(pinned) => self.pinned = pinned,
                    }
                    self.pinned.reason().clone()
                }
            };
            let reason = reason.to_string();
            if self.pins.set_reason(&self.entry, &reason) {
                record(&self.app, self.generation.number(), State::Pinned, reason);
            }
            tokio::select! {
                () = worker => pause = FIRST_LOOK,
                () = thread => pause = FIRST_LOOK,
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }
}

fn record(app: &App, generation: u64, state: State, reason: String) {
    log::debug!("{}#{generation} {state}: {reason}", app.name());
    app.record(Transition { at: SystemTime::now(), generation, state, reason });
}

/// Closes the file descriptors of a library that stays because it has called `abort`, once none of its code runs; whether
/// they are closed.
async fn close_descriptors(context: &Arc<LibraryContext>) -> bool {
    if !context.is_at_rest() {
        return false;
    }
    let close = |context: Arc<LibraryContext>| context.close_descriptors(HANDLERS_END);
    // Without a thread for it, it is tried again.
    let Ok(Some(closed)) = on_own_thread("close", context.clone(), close).await else { return false };
    if closed > 0 {
        log::info!("{context:?} has ended: {closed} file descriptors of it are closed");
    }
    true
}

/// Waits for the app's own threads, at most for `limit`.
async fn threads_end(context: &LibraryContext, limit: Duration) {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    while context.aborted().is_none() && !context.running_threads().is_empty() && begun.elapsed() < limit {
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends those of the app's own threads that only wait, as they would end with the process of a program.
async fn end_threads(generation: &Generation, loaded: &Loaded) {
    let (context, inside) = (loaded.context().clone(), loaded.inside());
    if context.aborted().is_some() || context.running_threads().is_empty() {
        return;
    }
    // Without a thread for it, they stay.
    let ended = spawn_blocking(move || thread_end::waiting::end_waiting(&context, inside)).await;
    let ended = ended.unwrap_or_default();
    if !ended.is_empty() {
        let plural = if ended.len() == 1 { "" } else { "s" };
        log::info!("{generation:?}: ended {} waiting thread{plural}: {}", ended.len(), ended.join(", "));
    }
}

/// Takes back what the library of a generation had of the host's; it is unloaded.
fn reclaim(threads: &WorkerThreads) {
    // SAFETY: the library is out of the process, as `unload` has verified.
    unsafe { threads.reclaim() };
}

/// Waits as long as there is no thread for it.
async fn unload(mut loaded: Loaded) -> Result<Inspected, Pinned> {
    let mut pause = FIRST_LOOK;
    loop {
        // SAFETY: the unload rule: the generation's workers have been joined, and the root module was handed to those
        // only.
        let unload = |loaded: Loaded| unsafe { loaded.unload() };
        match on_own_thread("unload", loaded, unload).await {
            Ok(unloaded) => return unloaded,
            Err(OwnThreadError::NoThread(error, again)) => {
                log::warn!("{again:?} will be unloaded later: cannot start a thread: {error}");
                loaded = again;
            }
            // The library is held by a thread that nobody knows any more.
            Err(OwnThreadError::Panicked) => std::panic::resume_unwind(Box::new("unloading it panicked")),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
