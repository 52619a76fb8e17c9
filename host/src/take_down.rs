//! From a retired generation to nothing: drained, stopped, unloaded; or pinned.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::app::App;
use crate::bring::Live;
use crate::context::LibraryContext;
use crate::history::{State, Transition};
use crate::inspect::Inspected;
use crate::library::{Loaded, PinReason, Pinned};
use crate::own_thread::on_own_thread;
use crate::services::Services;

/// How long streams and WebSockets that have been told to end may take for it.
const STREAMS_END: Duration = Duration::from_secs(1);

/// Takes a generation that admits nothing more out of the process. `gone` is given what is left, the copy of its library,
/// before anybody is told that the generation is unloaded: who asks for the app then finds the copy.
pub(crate) async fn take_down(
    services: &Rc<Services>,
    app: &App,
    live: Live,
    gone: impl FnOnce(Option<Inspected>),
) {
    let Live { generation, loaded, hash: _ } = live;
    let settings = app.settings();
    let number = generation.number();
    let record = |state, reason: String| {
        log::debug!("{}#{number} {state}: {reason}", app.name());
        app.record(Transition { at: SystemTime::now(), generation: number, state, reason });
    };

    record(State::Draining, format!("{} requests in flight", generation.in_flight()));
    let left = generation.drain(settings.drain_timeout()).await;
    generation.ending().end_all();
    let left = if left > 0 { generation.drain(STREAMS_END).await } else { 0 };
    if left > 0 {
        log::warn!(
            "{}#{number}: {left} request{} cut off, unfinished after drain_timeout_ms = {}",
            app.name(),
            if left == 1 { " was" } else { "s were" },
            settings.drain_timeout_ms
        );
    }
    let blocked = generation.stop(settings.stop_timeout()).await;
    loaded.context().signals().retire();
    let aborted = loaded.context().aborted().cloned();
    let unloaded = if let Some(abort) = aborted {
        Err(loaded.pin(PinReason::Aborted(abort)))
    } else if blocked > 0 {
        Err(loaded.pin(PinReason::Workers(blocked)))
    } else {
        record(State::Stopped, String::new());
        threads_end(loaded.context(), settings.stop_timeout()).await;
        unload(app, number, loaded).await
    };
    match unloaded {
        Ok(copy) => {
            gone(copy);
            record(State::Unloaded, String::new());
        }
        Err(pinned) => {
            log::warn!("{}#{number} is pinned, its memory stays: {}", app.name(), pinned.reason());
            record(State::Pinned, pinned.reason().to_string());
            services.pin(&generation, pinned);
            gone(None);
        }
    }
}

/// Waits for the app's own threads, at most for `limit`.
async fn threads_end(context: &LibraryContext, limit: Duration) {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    while context.aborted().is_none() && !context.running_threads().is_empty() && begun.elapsed() < limit {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

async fn unload(app: &App, number: u64, loaded: Loaded) -> Result<Option<Inspected>, Pinned> {
    let name = format!("{}#{number} unload", app.name());
    // SAFETY: the generation's workers have been joined, the thread that loaded the library has ended, and the
    // root module was handed to those workers only.
    match on_own_thread(&name, || unsafe { loaded.unload() }).await {
        Ok(unloaded) => unloaded.map(Some),
        Err(error) => {
            // The thread could not be made, so nothing was touched but the handle, which is lost with it.
            log::error!("{}#{number} could not be unloaded: {error}", app.name());
            Ok(None)
        }
    }
}
