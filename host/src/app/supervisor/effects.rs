//! What a driver does.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::input::Input;
use super::{Next, Supervisor};
use crate::app::lifecycle::{Effect, Number, Phase};
use crate::app::startup::{self, Plan, StartupError};
use crate::app::teardown;
use crate::app::unavailable::Unavailable;
use crate::library::inspect::Inspected;
use crate::observe::history::{State, Transition};

impl Supervisor {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Bring(number) => self.bring(number),
            Effect::Serve(number) => self.serve(number),
            Effect::Withdraw => self.app.set_serving(None),
            Effect::Retire(number) => self.retire(number),
            Effect::Refuse => {
                let why = self.unavailable();
                self.answer(&Err(why));
            }
            Effect::Rest(pause) => self.rested = Some(Instant::now() + pause),
            Effect::Block => self.block(),
            Effect::Postpone => self.postpone(),
            Effect::Finish => {}
        }
    }

    fn bring(&mut self, number: Number) {
        let next = std::mem::take(&mut self.next);
        self.brought =
            Next { changed: next.changed, forced: next.forced, kept: next.kept.clone(), prepared: None };
        let serving = self.lifecycle.serving().and_then(|serving| self.live.get(&serving));
        let inputs = self.inputs.clone();
        let plan = Plan {
            app: self.app.clone(),
            number,
            path: self.path.clone(),
            library: self.library.clone(),
            kept: next.kept,
            prepared: next.prepared,
            noticed: next.changed,
            unless: serving.filter(|_| !next.forced).map(|live| live.hash),
            predecessor: serving.map(|live| live.generation.clone()),
            call_sink: self.call_sink.clone(),
            hold: self.hold_request(),
            on_exit: Arc::new(move |reason| {
                // A driver that has ended waits for no worker.
                let _ = inputs.send(Input::Ended(number, reason));
            }),
            give_way: self.way_request(),
        };
        let inputs = self.inputs.clone();
        let services = self.services.clone();
        tokio::task::spawn_local(async move {
            // Whatever becomes of it is reported: without a report the app would be starting for ever.
            let input = match AssertUnwindSafe(startup::start_up(&services, plan)).catch_unwind().await {
                Ok(Ok(live)) => Input::Ready(Box::new(live)),
                Ok(Err(error)) => Input::NotReady(number, error),
                Err(panic) => Input::NotReady(number, StartupError::Panicked(text_of(&*panic))),
            };
            let _ = inputs.send(input);
        });
    }

    /// What a start-up calls to stop the predecessor.
    fn way_request(&self) -> Box<dyn Fn()> {
        let (inputs, before) = (self.inputs.clone(), self.lifecycle.serving());
        Box::new(move || {
            if let Some(before) = before {
                // A driver that has ended has taken everything down.
                let _ = inputs.send(Input::GiveWay(before));
            }
        })
    }

    /// What a bring calls to have the predecessor held.
    fn hold_request(&self) -> Box<dyn Fn() -> LocalBoxFuture<'static, ()>> {
        let inputs = self.inputs.clone();
        Box::new(move || {
            let (done, held) = oneshot::channel();
            let sent = inputs.send(Input::Hold(done));
            async move {
                // A driver that has ended serves nothing.
                if sent.is_ok() {
                    let _ = held.await;
                }
            }
            .boxed_local()
        })
    }

    fn serve(&mut self, number: Number) {
        if let Some(live) = self.live.get(&number)
            && self.app.serving().is_none_or(|serving| serving.number() != number)
        {
            self.app.set_serving(Some(live.generation.clone()));
            let reason = live.generation.noticed().map_or_else(
                || "it is ready".to_owned(),
                |noticed| format!("it is ready, {:.1} ms after the change", millis(noticed.elapsed())),
            );
            log::info!("{}#{number} is serving: {reason}", self.app.name());
            self.record(number, State::Serving, reason);
        }
        self.answer(&Ok(()));
    }

    fn retire(&mut self, number: Number) {
        let Some(live) = self.live.remove(&number) else { return };
        let (app, inputs, services) = (self.app.clone(), self.inputs.clone(), self.services.clone());
        live.generation.retire();
        tokio::task::spawn_local(async move {
            let gone = |copy: Option<Inspected>| {
                // Without a driver there is nobody who would start the app again.
                let _ = inputs.send(Input::Retired(number, copy.map(Box::new)));
            };
            let down = AssertUnwindSafe(teardown::tear_down(&services, &app, live, gone)).catch_unwind();
            if let Err(panic) = down.await {
                // What it had was dropped, which leaves the library in the process.
                let reason = format!("the host failed to unload it: {}", text_of(&*panic));
                teardown::pin(services.pins(), &app, number, &reason);
                gone(None);
            }
        });
    }

    pub(super) fn answer(&mut self, answer: &Result<(), Unavailable>) {
        for waiting in self.waiting.drain(..) {
            // A client that has left does not wait any more.
            let _ = waiting.send(answer.clone());
        }
    }

    fn unavailable(&self) -> Unavailable {
        match self.lifecycle.phase() {
            Phase::Closing => Unavailable::Closing,
            Phase::Disabled => Unavailable::Disabled,
            Phase::Blocked => Unavailable::Blocked(self.last_error.clone()),
            _ if self.unusable => Unavailable::Unusable(self.last_error.clone()),
            _ => Unavailable::Resting {
                reason: self.last_error.clone(),
                retry_after: self
                    .rested
                    .map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now())),
            },
        }
    }

    /// Reports that no generation is begun, because too many are pinned.
    fn block(&mut self) {
        let (app, limit) = (self.app.name(), self.app.settings().max_pinned);
        let count = self.services.pins().of(app);
        let error = format!(
            "no new generation is started because {count} are pinned (max_pinned = {limit}): run `atoll ls` to see \
            why. The app resumes when one of them is unloaded; otherwise raise max_pinned, or restart the host"
        );
        log::error!("{app}: {error}");
        self.record(self.lifecycle.last(), State::Refused, error.clone());
        self.last_error.clone_from(&error);
        self.unusable = false;
        self.resume();
        self.answer_asked(&Err(error));
    }

    /// Reports that the next generation is begun later, because too many finish what they have.
    fn postpone(&self) {
        let (app, limit) = (self.app.name(), self.app.settings().max_draining);
        let count = self.lifecycle.retiring().count();
        log::warn!(
            "{app}: the next generation is begun when one of the {count} that drain has ended (max_draining = {limit})"
        );
    }

    pub(super) fn record(&self, generation: Number, state: State, reason: String) {
        self.app.record(Transition { at: SystemTime::now(), generation, state, reason });
    }
}

/// What a panic has to say.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
