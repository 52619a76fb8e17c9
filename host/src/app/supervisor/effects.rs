//! How a supervisor carries out what its lifecycle decides.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::oneshot;

use super::Supervisor;
use super::input::Input;
use super::waiters::answer;
use crate::app::lifecycle::{Effect, Number, Start};
use crate::app::startup::{self, Plan, Started, StartupError};
use crate::app::teardown;
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::preflight::Passed;
use crate::library::stage::Kept;
use crate::observe::history::{State, Transition};

impl Supervisor {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Start(number, start) => self.start(number, start),
            Effect::Serve { number, replaces, relieves_heap } => {
                self.serve(number, replaces.is_some(), relieves_heap);
            }
            Effect::Hold(number) => {
                if let Some(live) = self.live.get(&number) {
                    live.generation.retire();
                }
                self.app.set_serving(None);
            }
            Effect::Resume(number) => {
                if let Some(live) = self.live.get(&number) {
                    live.generation.resume();
                    self.app.set_serving(Some(live.generation.clone()));
                }
            }
            Effect::Withdraw => self.app.set_serving(None),
            Effect::Retire(number) => self.retire(number),
            Effect::Admit => answer(&mut self.waiters.calls, &Ok(())),
            Effect::Refuse => {
                let why = self.lifecycle.unavailable(self.now());
                answer(&mut self.waiters.calls, &Err(why));
            }
            Effect::ReloadDone(result) => answer(&mut self.waiters.reloads, &result),
            Effect::StopDone => answer(&mut self.waiters.stops, &()),
            Effect::Prepare => self.prepare(),
            Effect::Report(report) => self.report(report),
            Effect::Finish => self.is_finished = true,
        }
    }

    fn start(&mut self, number: Number, start: Start) {
        let rollback = start.rollback.map(|hash| self.kept(hash));
        if let Some(None) = rollback {
            let _ = self.inputs.send(Input::NotReady(number, StartupError::NotKept));
            return;
        }
        let serving = self.lifecycle.serving().and_then(|serving| self.live.get(&serving));
        let inputs = self.inputs.clone();
        let plan = Plan {
            app: self.app.clone(),
            number,
            path: self.path.clone(),
            library: self.library.clone(),
            rollback: rollback.flatten(),
            prepared: self.prepared.take(),
            noticed: start.noticed.map(|noticed| self.born + noticed),
            unless: serving.filter(|_| !start.is_forced).map(|live| (live.hash, live.environment.digest())),
            handed: self.handed.clone(),
            predecessor: serving.map(|live| live.generation.clone()),
            environment_before: serving.map(|live| live.environment.clone()),
            call_sink: self.call_sink.clone(),
            hold: self.hold_request(),
            on_exit: Arc::new(move |reason| {
                // A supervisor that has ended waits for no worker.
                let _ = inputs.send(Input::Exited(number, reason));
            }),
            give_way: self.way_request(),
            loader: self.loader.clone(),
            file_lookups: self.file_lookups.clone(),
            blanks: self.blanks.clone(),
            faults: self.faults.clone(),
            preflight: self.preflight.clone().filter(|_| self.app.settings().preflight),
            staging: self.staging.clone(),
            pins: self.pins.clone(),
        };
        let inputs = self.inputs.clone();
        tokio::task::spawn_local(async move {
            // Every outcome is reported: without a report the app would be starting for ever.
            let input = match AssertUnwindSafe(startup::start_up(plan)).catch_unwind().await {
                Ok(Ok(Started { live, failure: None })) => Input::Ready(Box::new(live)),
                Ok(Ok(Started { live, failure: Some(error) })) => Input::Restored(Box::new(live), error),
                Ok(Err(error)) => Input::NotReady(number, error),
                Err(panic) => Input::NotReady(number, StartupError::Panicked(text_of(&*panic))),
            };
            let _ = inputs.send(input);
        });
    }

    /// The earlier library with this content.
    fn kept(&self, hash: ContentHash) -> Option<Kept> {
        let kept = self.staging.kept(self.app.name());
        self.rollback.iter().cloned().chain(kept).find(|kept| kept.hash() == hash)
    }

    /// What a start-up calls to stop the predecessor, and to wait until it is gone: for the copy of its library.
    fn way_request(&self) -> Box<dyn Fn() -> LocalBoxFuture<'static, Option<Inspected>>> {
        let (inputs, before) = (self.inputs.clone(), self.lifecycle.serving());
        Box::new(move || {
            let (done, gone) = oneshot::channel();
            // A supervisor that has ended has taken everything down.
            let sent = before.is_some_and(|before| inputs.send(Input::GiveWay(before, done)).is_ok());
            async move { if sent { gone.await.ok().flatten() } else { None } }.boxed_local()
        })
    }

    /// What a start-up calls to put the predecessor on hold.
    fn hold_request(&self) -> Box<dyn Fn() -> LocalBoxFuture<'static, ()>> {
        let inputs = self.inputs.clone();
        Box::new(move || {
            let (done, held) = oneshot::channel();
            let sent = inputs.send(Input::Hold(done));
            async move {
                // A supervisor that has ended serves nothing.
                if sent.is_ok() {
                    let _ = held.await;
                }
            }
            .boxed_local()
        })
    }

    fn serve(&mut self, number: Number, is_reload: bool, relieves_heap: bool) {
        let Some(live) = self.live.get(&number) else { return };
        let noticed = live.generation.noticed();
        let settings = self.app.settings();
        self.last_hash = Some(live.hash);
        self.rollback = None;
        self.handed.clear();
        self.idle.start(settings.idle_timeout());
        if relieves_heap {
            self.heap.start_after_replacement();
        } else {
            self.heap.start(settings.heap_soft_limit);
        }
        self.hang.start(self.hang_timeout(live));
        live.metering.serves();
        self.app.set_serving(Some(live.generation.clone()));
        let metrics = self.app.metrics();
        if is_reload {
            metrics.reloaded.add(1);
            if let Some(noticed) = noticed {
                metrics.reload.observe(noticed.elapsed());
            }
        } else {
            metrics.cold_starts.add(1);
        }
        let reason = noticed.map_or_else(
            || "it is ready".to_owned(),
            |noticed| format!("it is ready, {:.1} ms after the change", millis(noticed.elapsed())),
        );
        let reason = match live.preflight {
            Some(Passed::Now(time)) => format!("{reason}; its preflight took {:.1} ms", millis(time)),
            _ => reason,
        };
        log::info!("{}#{number} is serving: {reason}", self.app.name());
        self.record(number, State::Serving, reason);
    }

    fn retire(&mut self, number: Number) {
        let Some(live) = self.live.remove(&number) else { return };
        let (app, inputs, pins) = (self.app.clone(), self.inputs.clone(), self.pins.clone());
        live.generation.retire();
        tokio::task::spawn_local(async move {
            let gone = |copy: Option<Inspected>| {
                // A supervisor that has ended starts the app no more.
                let _ = inputs.send(Input::Gone(number, copy.map(Box::new)));
            };
            let down = AssertUnwindSafe(teardown::tear_down(&pins, &app, live, gone)).catch_unwind();
            if let Err(panic) = down.await {
                // What it had was dropped, which leaves the library in the process.
                let reason = format!("the host failed to unload it: {}", text_of(&*panic));
                teardown::pin(&pins, &app, number, &reason);
                gone(None);
            }
        });
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
