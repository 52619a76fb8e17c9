//! How a supervisor turns what it is notified of into events.

use std::path::Path;
use std::time::Instant;

use tokio::sync::oneshot;

use super::input::Input;
use super::{Supervisor, policy};
use crate::app::command::{Command, Reload};
use crate::app::lifecycle::{Event, Number, Phase};
use crate::app::live_generation::{Housing, LiveGeneration};
use crate::app::prepare::Preparation;
use crate::config::{AppConfig, Instances};
use crate::library::inspect::Inspected;
use crate::watch::Change;

impl Supervisor {
    pub(super) fn input(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.command(command),
            Input::Hold(done) => {
                self.event(Event::HandOver);
                // A start that has given up does not wait.
                let _ = done.send(());
            }
            Input::Ready(live) => {
                let number = self.insert(*live);
                self.event(Event::Ready(number));
            }
            Input::Restored(live, error) => {
                let number = self.insert(*live);
                self.event(Event::Restored(number, error.to_string()));
            }
            Input::NotReady(number, error) => {
                self.event(Event::NotReady(number, error.cause(), error.to_string()));
            }
            Input::Exited(number, reason) => {
                self.take_copy(number);
                self.event(Event::Exited(number, reason));
            }
            Input::Gone(number, copy) => self.gone(number, copy.map(|copy| *copy)),
            Input::GiveWay(number, gone) => self.give_way(number, gone),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Wanted(answer) => {
                self.waiters.calls.push(answer);
                self.event(Event::Wanted);
            }
            Command::Start(answer) => {
                self.waiters.calls.push(answer);
                if matches!(self.lifecycle.phase(), Phase::Resting | Phase::Failed) {
                    // The attempt that failed may have been made with it.
                    self.prepared.take_if(|prepared| !prepared.has_served());
                }
                self.event(Event::StartRequested);
            }
            Command::Stop(done) => {
                self.waiters.stops.push(done);
                self.event(Event::StopRequested);
            }
            Command::Disable(done) => {
                self.waiters.stops.push(done);
                self.event(Event::Disabled);
            }
            Command::Enable(done) => {
                self.app.moved().clear();
                self.faults.resolve(self.app.name());
                self.event(Event::Enabled);
                // A client that has left does not wait.
                let _ = done.send(());
            }
            #[cfg(feature = "fleet")]
            Command::StandBy(done) => {
                self.handed.clear();
                if self.app.stands_by() {
                    self.waiters.stops.push(done);
                    self.event(Event::StandBy);
                } else {
                    // Its settings have changed meanwhile, and it runs on every host.
                    self.app.lease().stop_within(None);
                    // A host that has left its fleet does not wait.
                    let _ = done.send(());
                }
            }
            #[cfg(feature = "fleet")]
            Command::TakeUp(states, answer) => {
                self.handed = states;
                self.waiters.calls.push(answer);
                self.event(Event::Freed);
                self.event(Event::StartRequested);
            }
            Command::Reload(which, answer) => self.reload(which, answer),
            // It is carried out where it is received.
            Command::Hold(..) => {}
            Command::Rebuilt(since) => self.library_changed(since),
            Command::Configure(config) => self.configure(&config),
            Command::Adjust(settings) => self.app.set_settings(*settings),
            Command::Close(done) => {
                self.waiters.closes.push(done);
                self.watches.clear();
                self.environment_watches.clear();
                self.prepared = None;
                self.event(Event::Closed);
            }
        }
    }

    fn reload(&mut self, which: Reload, answer: oneshot::Sender<Result<Number, String>>) {
        self.rollback = match which {
            Reload::Current | Reload::Changed => None,
            Reload::Previous => {
                let kept = self.staging.kept(self.app.name());
                let Some(previous) = kept.into_iter().find(|kept| Some(kept.hash()) != self.last_hash) else {
                    let reason = "no earlier library to roll back to (see the setting `keep`)";
                    // A client that has left does not wait.
                    let _ = answer.send(Err(reason.to_owned()));
                    return;
                };
                Some(previous)
            }
        };
        self.waiters.reloads.push(answer);
        // A reload that is asked for takes the library as it is now, not a copy that was made before.
        self.prepared = None;
        self.event(match which {
            Reload::Changed => Event::UpdateRequested,
            _ => Event::ReloadRequested(self.rollback.as_ref().map(|kept| kept.hash())),
        });
    }

    fn configure(&mut self, config: &AppConfig) {
        self.app.set_settings(config.settings.clone());
        // A copy of what may be another file now.
        self.prepared = None;
        self.judge_settings(config);
        self.place();
        self.event(Event::Configured(policy(&config.settings)));
    }

    /// Has the app stand by if it may not run here, or run if it needs no lease any more. One that has its lease waits until it
    /// is taken up.
    pub(super) fn place(&mut self) {
        let settings = self.app.settings();
        let has_place = !settings.on.is_empty() || settings.instances == Instances::One;
        if has_place && !self.app.is_in_fleet() && self.app.version().is_none() {
            let name = self.app.name();
            log::info!("{name}: `on` and `instances` have no effect, because this host is in no fleet");
        }
        if self.app.stands_by() && !self.lifecycle.stands_by() {
            self.event(Event::StandBy);
        } else if !self.app.needs_lease() && self.lifecycle.stands_by() {
            self.app.lease().stop_within(None);
            self.event(Event::Freed);
        }
    }

    pub(super) fn file_changed(&mut self, path: &Path, change: &Change) {
        // A library that is gone is no reason to stop what serves; it is usually about to be written again.
        if change.is_present() {
            self.library_changed(change.noticed);
        } else {
            log::info!(
                "{}: the library file {} was removed; the loaded generation keeps serving",
                self.app.name(),
                path.display()
            );
        }
    }

    /// A file of the environment is another one, or is gone. The start finds out whether its content is.
    pub(super) fn environment_changed(&mut self, change: &Change) {
        self.event(Event::EnvironmentChanged(change.noticed.saturating_duration_since(self.born)));
    }

    /// There is another library, made from what was changed at `since`.
    fn library_changed(&mut self, since: Instant) {
        // A copy of the one before.
        self.prepared = None;
        self.event(Event::LibraryChanged(since.saturating_duration_since(self.born)));
    }

    /// The next start gets the copy of the library that a process has opened, when the app no longer serves from there: it need not
    /// wait for what is left of the process. A start that is under way may need it as that of its predecessor.
    fn take_copy(&mut self, number: Number) {
        let is_next = self.lifecycle.serving() == Some(number) && self.lifecycle.starting().is_none();
        let live = self.live.get_mut(&number).filter(|_| is_next && self.prepared.is_none());
        if let Some(LiveGeneration { housing: Housing::Process { copy, .. }, .. }) = live {
            self.prepared = copy.take().and_then(Preparation::again);
        }
    }

    /// Takes a generation that is ready; its number.
    fn insert(&mut self, live: LiveGeneration) -> Number {
        let number = live.generation.number();
        self.live.insert(number, live);
        number
    }

    fn give_way(&mut self, number: Number, gone: oneshot::Sender<Option<Inspected>>) {
        self.event(Event::Idle(number));
        if self.lifecycle.retiring().any(|retiring| retiring == number) {
            self.waiters.gone.push((number, gone));
        }
    }

    /// A generation is gone. If a start waits for that, it gets what is left of it. If the app is cold now, that is what the
    /// next call starts.
    fn gone(&mut self, number: Number, mut copy: Option<Inspected>) {
        self.event(Event::Gone(number));
        for waiter in self.waiters.take_gone(number) {
            copy = waiter.send(copy.take()).err().flatten();
        }
        if self.lifecycle.phase() == Phase::Cold && self.prepared.is_none() {
            self.prepared = copy.and_then(Preparation::again);
            if self.prepared.is_none() {
                self.prepare();
            }
        }
    }
}
