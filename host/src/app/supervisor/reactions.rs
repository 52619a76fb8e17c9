//! What a supervisor makes of what it is notified of.

use std::time::Instant;

use tokio::sync::oneshot;

use super::input::Input;
use super::{Next, Supervisor, policy};
use crate::app::command::{Command, Reload};
use crate::app::lifecycle::{Cause, Event, Number, Phase};
use crate::app::live_generation::LiveGeneration;
use crate::app::prepare::Preparation;
use crate::app::startup::StartupError;
use crate::app::unavailable::Unavailable;
use crate::config::AppConfig;
use crate::library::inspect::Inspected;
use crate::observe::history::State;
use crate::watch::Change;

impl Supervisor {
    /// Takes one input; whether the supervisor has nothing more to do.
    pub(super) fn input(&mut self, input: Input) -> bool {
        match input {
            Input::Command(command) => self.command(command),
            Input::Hold(done) => {
                self.hold();
                let _ = done.send(());
                false
            }
            Input::Ready(live) => self.ready(*live),
            Input::NotReady(number, error) => self.not_ready(number, &error),
            Input::Ended(number, reason) => {
                if self.lifecycle.serving() == Some(number) {
                    self.app.metrics().worker_ends.add(1);
                    log::error!("{}#{number}: {reason}", self.app.name());
                    self.last_error = reason;
                    self.unusable = false;
                } else if self.lifecycle.coming() == Some(number) {
                    self.ended_early = Some((number, reason));
                }
                self.event(Event::Ended(number))
            }
            Input::Retired(number, copy) => self.retired(number, copy.map(|copy| *copy)),
            Input::GiveWay(number) => {
                self.held = false;
                // As if it were idle: it goes without having crashed, and calls wait for the one that is coming.
                self.event(Event::Idle(number))
            }
        }
    }

    fn command(&mut self, command: Command) -> bool {
        match command {
            Command::Wanted(answer) => {
                self.waiting.push(answer);
                // While the state is handed over, what serves is on hold: calls wait for what comes of it.
                if self.held { false } else { self.event(Event::Wanted) }
            }
            Command::Start(answer) => {
                if matches!(self.lifecycle.phase(), Phase::Resting | Phase::Failed) {
                    self.next.prepared = None;
                    self.event(Event::Changed);
                }
                self.command(Command::Wanted(answer))
            }
            Command::Stop(done) => self.stop(Event::Stopped, done),
            Command::Disable(done) => self.stop(Event::Disabled, done),
            Command::Enable(done) => {
                let _ = done.send(());
                let finished = self.event(Event::Enabled);
                if self.app.settings().preload { self.event(Event::Wanted) } else { finished }
            }
            Command::Reload(which, asked) => self.reload(which, asked),
            Command::Rebuilt(since) => self.replaced(since),
            Command::Configure(config) => self.configure(&config),
            Command::Close(done) => {
                self.closing.push(done);
                self.watches.clear();
                self.next = Next::default();
                self.event(Event::Closed)
            }
        }
    }

    /// Stops the serving generation.
    fn stop(&mut self, event: Event, done: oneshot::Sender<()>) -> bool {
        self.held = false;
        self.stopping.push(done);
        let finished = self.event(event);
        self.answer_asked(&Err("the app was stopped".to_owned()));
        self.answer_stopping();
        finished
    }

    /// Tells those that wait until all is down.
    fn answer_stopping(&mut self) {
        if self.lifecycle.coming().is_none() && self.lifecycle.retiring().next().is_none() {
            for stopping in self.stopping.drain(..) {
                // Whoever asked may have left.
                let _ = stopping.send(());
            }
        }
    }

    fn reload(&mut self, which: Reload, asked: oneshot::Sender<Result<Number, String>>) -> bool {
        if self.lifecycle.phase() == Phase::Disabled {
            let _ = asked.send(Err(Unavailable::Disabled.to_string()));
            return false;
        }
        if which == Reload::Previous {
            let kept = self.services.staging().kept(self.app.name());
            let previous = kept.into_iter().find(|kept| Some(kept.hash()) != self.last_hash);
            if previous.is_none() {
                // Whoever asked may have left.
                let _ =
                    asked.send(Err("no earlier library to roll back to (see the setting `keep`)".to_owned()));
                return false;
            }
            self.next.kept = previous;
        }
        self.asked.push(asked);
        // Whoever asks for the library on disk does not mean a copy that was made before.
        self.next.prepared = None;
        self.next.forced = true;
        self.next.changed = Some(Instant::now());
        self.event(Event::Changed);
        if self.lifecycle.phase() == Phase::Blocked {
            self.answer_asked(&Err(self.last_error.clone()));
        }
        self.lifecycle.phase() == Phase::Cold && self.event(Event::Wanted)
    }

    pub(super) fn answer_asked(&mut self, answer: &Result<Number, String>) {
        // A generation that was begun before the question is no answer to it.
        if self.lifecycle.coming().is_none() {
            for asked in self.asked.drain(..) {
                let _ = asked.send(answer.clone());
            }
        }
    }

    fn configure(&mut self, config: &AppConfig) -> bool {
        self.app.set_settings(config.settings.clone());
        self.lifecycle.set_policy(policy(&config.settings));
        self.next.forced = true;
        self.next.changed = Some(Instant::now());
        self.event(Event::Changed);
        if config.settings.preload {
            return self.event(Event::Wanted);
        }
        self.prepare();
        false
    }

    pub(super) fn changed(&mut self, change: &Change) -> bool {
        // A library that is gone is no reason to stop what serves; it is usually about to be written again.
        if !change.is_present() {
            log::info!(
                "{}: the library file was removed; the loaded generation keeps serving",
                self.app.name()
            );
            return false;
        }
        self.replaced(change.noticed)
    }

    /// There is another library, made from what was changed at `since`.
    fn replaced(&mut self, since: Instant) -> bool {
        self.next.changed = Some(since);
        self.next.kept = None;
        self.event(Event::Changed);
        if self.app.settings().preload && self.lifecycle.phase() == Phase::Cold {
            return self.event(Event::Wanted);
        }
        self.prepare();
        false
    }

    /// A generation is gone. If the app is cold now, what is left of it is what the next call starts.
    fn retired(&mut self, number: Number, copy: Option<Inspected>) -> bool {
        let finished = self.event(Event::Retired(number));
        self.answer_stopping();
        if self.lifecycle.phase() == Phase::Cold && self.next.prepared.is_none() {
            self.next.prepared = copy.and_then(Preparation::again);
            if self.next.prepared.is_none() {
                self.prepare();
            }
        }
        finished
    }

    fn hold(&mut self) {
        if let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) {
            self.held = true;
            live.generation.retire();
            self.app.set_serving(None);
        }
    }

    /// What was on hold serves again, because the next generation did not come.
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.held)
            && let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number))
        {
            live.generation.resume();
            self.app.set_serving(Some(live.generation.clone()));
            self.answer(&Ok(()));
        }
    }

    fn ready(&mut self, live: LiveGeneration) -> bool {
        let (number, hash) = (live.generation.number(), live.hash);
        self.live.insert(number, live);
        // Its workers may have ended right after they said that they are ready.
        let ended = self.ended_early.take_if(|(ended, _)| *ended == number);
        if let Some((_, reason)) = ended {
            self.resume();
            self.unusable = false;
            self.refused(number, reason.clone());
            let finished = self.event(Event::Ready(number));
            self.answer_asked(&Err(reason));
            return finished;
        }
        self.held = false;
        let settings = self.app.settings();
        self.idle.start(settings.idle_timeout());
        match std::mem::take(&mut self.replaces_heap) {
            true => self.heap.start_after_replacement(),
            false => self.heap.start(settings.heap_soft_limit),
        }
        self.last_hash = Some(hash);
        self.count_start(number);
        let finished = self.event(Event::Ready(number));
        self.answer_asked(&Ok(number));
        finished
    }

    /// Counts a generation that is ready: one that nothing served before, or a reload.
    fn count_start(&self, number: Number) {
        let metrics = self.app.metrics();
        if self.lifecycle.serving().is_none() {
            metrics.cold_starts.add(1);
            return;
        }
        metrics.reloaded.add(1);
        if let Some(noticed) = self.live.get(&number).and_then(|live| live.generation.noticed()) {
            metrics.reload.observe(noticed.elapsed());
        }
    }

    /// Reports that a generation failed to start.
    fn refused(&mut self, number: Number, error: String) {
        let stays = self
            .lifecycle
            .serving()
            .map_or(String::new(), |serving| format!("; generation {serving} keeps serving"));
        log::error!("{}: generation {number} failed to start: {error}{stays}", self.app.name());
        self.app.metrics().refused.add(1);
        self.last_error.clone_from(&error);
        self.record(number, State::Refused, error);
    }

    fn not_ready(&mut self, number: Number, error: &StartupError) -> bool {
        self.resume();
        let cause = error.cause();
        if cause == Cause::Unchanged {
            log::info!("{}: the library is unchanged: nothing to reload", self.app.name());
        } else if matches!(error, StartupError::Build(_)) {
            // The compiler has said it already.
            self.last_error = error.to_string();
            self.unusable = true;
        } else {
            self.unusable = cause == Cause::Unusable;
            self.refused(number, error.to_string());
            if cause == Cause::Machine && self.next.is_unknown() {
                self.next = std::mem::take(&mut self.brought);
            }
        }
        let finished = self.event(Event::NotReady(number, cause));
        self.answer_stopping();
        self.answer_asked(&Err(error.to_string()));
        finished
    }
}
