//! The life of an app as a plain state machine: events in, effects out, no threads, no clock, no I/O.
//!
//! An app's supervisor carries the effects out and reports what came of them. The state that decides which generation
//! starts, serves and stops is here; the supervisor holds the resources: libraries, workers, timers, and those that wait
//! for an answer.

mod effect;
mod event;
mod failure;
mod outcomes;
mod phase;
mod policy;
mod requests;
mod start;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

pub use self::effect::{Effect, Report};
pub use self::event::{Cause, Event, Number};
pub use self::failure::Failure;
pub use self::phase::Phase;
pub use self::policy::Policy;
pub use self::start::Start;
use self::start::Starting;
use crate::app::unavailable::Unavailable;

/// How long a client waits before it calls an app again that has no pause.
const DEFAULT_RETRY: Duration = Duration::from_secs(60);

/// The state of one app.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    policy: Policy,
    phase: Phase,
    last: Number,
    serving: Option<Number>,
    /// The serving generation gets no requests, because its state is handed over.
    is_held: bool,
    starting: Option<Starting>,
    /// How the generation after the one that starts is to be started.
    next: Start,
    /// Another generation follows the one that starts, because something changed after that was begun. Or none could be
    /// started: one is when that is possible.
    is_outdated: bool,
    /// The generation that starts retires as soon as it is ready.
    is_unwanted: bool,
    retiring: BTreeSet<Number>,
    crashes: VecDeque<Duration>,
    /// How many faults of the machine there were since a generation was ready.
    faults: usize,
    pause_until: Option<Duration>,
    pinned: usize,
    failure: Option<Failure>,
    /// Someone waits for the outcome of a reload: of this generation or a later one.
    reload_from: Option<Number>,
    /// Someone waits until the app has stopped.
    stop_requested: bool,
    /// This host may not run the app.
    stands_by: bool,
    /// The time of the event that is being handled.
    now: Duration,
    effects: Vec<Effect>,
}

impl Lifecycle {
    /// An app that is not loaded.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            phase: Phase::Cold,
            last: 0,
            serving: None,
            is_held: false,
            starting: None,
            next: Start::default(),
            is_outdated: false,
            is_unwanted: false,
            retiring: BTreeSet::new(),
            crashes: VecDeque::new(),
            faults: 0,
            pause_until: None,
            pinned: 0,
            failure: None,
            reload_from: None,
            stop_requested: false,
            stands_by: false,
            now: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// Whether it serves, and if not, why.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The generation that gets new requests, or is on hold.
    pub fn serving(&self) -> Option<Number> {
        self.serving
    }

    /// The generation that is being loaded or started.
    pub fn starting(&self) -> Option<Number> {
        self.starting.as_ref().map(|starting| starting.number)
    }

    /// The number of the generation that was started last.
    pub fn last(&self) -> Number {
        self.last
    }

    /// The generations that finish what they have.
    pub fn retiring(&self) -> impl Iterator<Item = Number> {
        self.retiring.iter().copied()
    }

    /// Whether it stays disabled because it ended the host.
    pub fn is_faulted(&self) -> bool {
        matches!(self.failure, Some(Failure::Faulted(_)))
    }

    /// Whether this host may not run the app.
    pub fn stands_by(&self) -> bool {
        self.stands_by
    }

    /// When [`Event::PauseOver`] is due: the end of the pause after a crash, or after a fault of the machine.
    pub fn pause_until(&self) -> Option<Duration> {
        self.pause_until
    }

    /// Why calls are refused, where they are.
    pub fn unavailable(&self, now: Duration) -> Unavailable {
        let failure = || self.failure.as_ref().map_or_else(String::new, Failure::to_string);
        match (self.phase, &self.failure) {
            (Phase::Closing, _) => Unavailable::Closing,
            (Phase::Disabled, Some(Failure::Faulted(_))) => Unavailable::Faulted(failure()),
            (Phase::Disabled, _) => Unavailable::Disabled,
            (Phase::Standby, _) => Unavailable::StandsBy,
            (Phase::Blocked, _) => Unavailable::Blocked(failure()),
            (Phase::Cold, _) => {
                Unavailable::Resting { reason: "the app was stopped".to_owned(), retry_after: Duration::ZERO }
            }
            (_, Some(Failure::Unusable(reason))) => Unavailable::Unusable(reason.clone()),
            _ => Unavailable::Resting {
                reason: failure(),
                retry_after: self.pause_until.map_or(DEFAULT_RETRY, |end| end.saturating_sub(now)),
            },
        }
    }

    /// Handles an event at the time `now`, measured from any fixed start, and returns what is to be done, in order.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        self.now = now;
        match event {
            Event::Registered => self.prepare(),
            Event::Wanted => self.wanted(),
            Event::StartRequested => self.start_requested(),
            Event::ReloadRequested(rollback) => {
                self.reload_requested(Start { is_forced: true, rollback, ..self.next });
            }
            Event::UpdateRequested => self.reload_requested(Start { rollback: None, ..self.next }),
            Event::StopRequested => self.stop(self.at_rest()),
            Event::Disabled => self.stop(Phase::Disabled),
            Event::Enabled => self.enabled(),
            Event::StandBy => self.stand_by(),
            Event::Freed => self.freed(),
            Event::Faulted(reason) => self.faulted(reason),
            Event::LibraryChanged(noticed) => self.library_changed(noticed),
            Event::EnvironmentChanged(noticed) => self.environment_changed(noticed),
            Event::Configured(policy) => self.configured(policy),
            Event::HeapExceeded(number) => self.heap_exceeded(number),
            Event::HandOver => self.hand_over(),
            Event::Ready(number) => self.ready(number),
            Event::Restored(number, reason) => self.restored(number, reason),
            Event::NotReady(number, cause, reason) => self.not_ready(number, cause, reason),
            Event::Exited(number, reason) => self.exited(number, reason),
            Event::Idle(number) => self.idle(number),
            Event::Gone(number) => self.gone(number),
            Event::PauseOver => self.pause_over(),
            Event::Pinned(count) => self.pinned(count),
            Event::Closed => self.closed(),
        }
        if self.starting.is_none() && self.retiring.is_empty() {
            if std::mem::take(&mut self.stop_requested) {
                self.effects.push(Effect::StopDone);
            }
            if self.phase == Phase::Closing {
                self.effects.push(Effect::Finish);
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// The phase of an app that is not loaded.
    fn at_rest(&self) -> Phase {
        if self.stands_by { Phase::Standby } else { Phase::Cold }
    }

    fn is_blocked(&self) -> bool {
        self.pinned > self.policy.max_pinned
    }

    /// Starts a generation, unless too many are pinned or still drain; the serving one continues until it is ready.
    fn start(&mut self) {
        self.pause_until = None;
        if self.is_blocked() {
            return self.block();
        }
        if self.retiring.len() >= self.policy.max_draining {
            self.effects.push(Effect::Report(Report::Postponed(self.retiring.len())));
            self.is_outdated = true;
        } else {
            self.last += 1;
            let start = std::mem::take(&mut self.next);
            self.starting = Some(Starting { number: self.last, start, exit: None });
            self.is_outdated = false;
            self.effects.push(Effect::Start(self.last, start));
        }
        if self.serving.is_none() {
            self.phase = Phase::Starting;
        }
    }

    /// Starts nothing, because too many generations are pinned.
    fn block(&mut self) {
        let failure = Failure::Blocked { pinned: self.pinned, limit: self.policy.max_pinned };
        let reason = failure.to_string();
        self.effects.push(Effect::Report(Report::Blocked(reason.clone())));
        self.failure = Some(failure);
        self.is_outdated = self.serving.is_some();
        if self.serving.is_none() {
            self.phase = Phase::Blocked;
            self.effects.push(Effect::Refuse);
        }
        self.abandon_reload(&reason);
    }

    /// Retires the serving generation.
    fn take_down(&mut self) {
        self.is_held = false;
        if let Some(number) = self.serving.take() {
            self.effects.push(Effect::Withdraw);
            self.retire(number);
        }
    }

    fn retire(&mut self, number: Number) {
        self.retiring.insert(number);
        self.effects.push(Effect::Retire(number));
    }

    /// Answers a reload with what came of a generation, unless that was begun before the reload was asked for.
    fn answer_reload(&mut self, number: Number, answer: Result<Number, String>) {
        if self.reload_from.take_if(|from| *from <= number).is_some() {
            self.effects.push(Effect::ReloadDone(answer));
        }
    }

    /// Answers a reload that is not carried out.
    fn abandon_reload(&mut self, reason: &str) {
        self.answer_reload(Number::MAX, Err(reason.to_owned()));
    }
}

#[cfg(test)]
mod tests;
