//! The life of an app as a plain state machine: events in, effects out, no threads, no clock, no I/O.
//!
//! An [`App`](crate::app::handle::App)'s driver carries the effects out and reports what came of them.

mod effect;
mod event;
mod phase;
mod restart_policy;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

pub use self::effect::Effect;
pub use self::event::{Cause, Event, Number};
pub use self::phase::Phase;
pub use self::restart_policy::RestartPolicy;

/// The state of one app.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    policy: RestartPolicy,
    phase: Phase,
    last: Number,
    serving: Option<Number>,
    coming: Option<Number>,
    /// The library changed after the coming generation was begun: another one follows it. Or none could be begun: one is
    /// when that is possible.
    outdated: bool,
    /// A worker of the coming generation has ended already.
    ended: bool,
    /// The coming generation is to go as soon as it has come.
    unwanted: bool,
    retiring: BTreeSet<Number>,
    crashes: VecDeque<Duration>,
    /// How many faults of the machine there were since a generation was ready.
    faults: usize,
    /// The pause is one before a reload that the machine had no room for.
    retries: bool,
    /// How many generations are pinned.
    pinned: usize,
}

impl Lifecycle {
    /// An app that is not loaded.
    pub fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            phase: Phase::Cold,
            last: 0,
            serving: None,
            coming: None,
            outdated: false,
            ended: false,
            unwanted: false,
            retiring: BTreeSet::new(),
            crashes: VecDeque::new(),
            faults: 0,
            retries: false,
            pinned: 0,
        }
    }

    /// Whether it serves, and if not, why.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The generation that gets new requests.
    pub fn serving(&self) -> Option<Number> {
        self.serving
    }

    /// The generation that is being loaded or started.
    pub fn coming(&self) -> Option<Number> {
        self.coming
    }

    /// The number of the generation that was begun last.
    pub fn last(&self) -> Number {
        self.last
    }

    /// The generations that finish what they have.
    pub fn retiring(&self) -> impl Iterator<Item = Number> {
        self.retiring.iter().copied()
    }

    /// Changes how crashes are answered from now on.
    pub fn set_policy(&mut self, policy: RestartPolicy) {
        self.policy = policy;
    }

    /// Takes an event at the time `now`, measured from any fixed start, and says what is to be done, in order.
    pub fn on(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Wanted => self.wanted(&mut effects),
            Event::Changed => self.changed(&mut effects),
            Event::Ready(number) => self.ready(number, now, &mut effects),
            Event::NotReady(number, cause) => self.not_ready(number, cause, now, &mut effects),
            Event::Ended(number) if self.serving == Some(number) => {
                self.take_down(&mut effects);
                self.crashed(Duration::ZERO, now, &mut effects);
            }
            Event::Idle(number) if self.serving == Some(number) => {
                self.take_down(&mut effects);
                self.phase = if self.coming.is_some() { Phase::Starting } else { Phase::Cold };
            }
            Event::Stopped => self.stopped(Phase::Cold, &mut effects),
            Event::Disabled => self.stopped(Phase::Disabled, &mut effects),
            Event::Enabled if self.phase == Phase::Disabled => self.phase = Phase::Cold,
            Event::Enabled => {}
            Event::Ended(number) if self.coming == Some(number) => self.ended = true,
            Event::Ended(_) | Event::Idle(_) => {}
            Event::Retired(number) => {
                self.retiring.remove(&number);
                self.begin_postponed(&mut effects);
            }
            Event::Rested if self.phase == Phase::Resting => self.bring(&mut effects),
            Event::Rested if self.retries && self.phase == Phase::Serving && self.coming.is_none() => {
                self.bring(&mut effects);
            }
            Event::Rested => {}
            Event::Pinned(count) => {
                self.pinned = count;
                self.unblock(&mut effects);
            }
            Event::Closed => {
                self.phase = Phase::Closing;
                effects.push(Effect::Refuse);
                self.take_down(&mut effects);
            }
        }
        if self.phase == Phase::Closing && self.coming.is_none() && self.retiring.is_empty() {
            effects.push(Effect::Finish);
        }
        effects
    }

    fn wanted(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            // What is on its way for nobody is wanted again.
            Phase::Cold if self.coming.is_some() => {
                self.unwanted = false;
                self.phase = Phase::Starting;
            }
            Phase::Cold => self.bring(effects),
            Phase::Starting => {}
            Phase::Serving => effects.extend(self.serving.map(Effect::Serve)),
            Phase::Resting | Phase::Failed | Phase::Blocked | Phase::Disabled | Phase::Closing => {
                effects.push(Effect::Refuse);
            }
        }
    }

    fn changed(&mut self, effects: &mut Vec<Effect>) {
        self.crashes.clear();
        match self.phase {
            _ if self.coming.is_some() => self.outdated = true,
            Phase::Serving => self.bring(effects),
            Phase::Resting | Phase::Failed => self.phase = Phase::Cold,
            // Another limit may be in force.
            Phase::Blocked => self.unblock(effects),
            Phase::Cold | Phase::Starting | Phase::Disabled | Phase::Closing => {}
        }
    }

    fn is_blocked(&self) -> bool {
        self.pinned > self.policy.max_pinned
    }

    /// Resumes starts that were held back because too many generations were pinned, if they no longer are.
    fn unblock(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            _ if self.is_blocked() => {}
            Phase::Blocked => self.phase = Phase::Cold,
            Phase::Serving if self.outdated && self.coming.is_none() => self.bring(effects),
            _ => {}
        }
    }

    /// Begins what was postponed until fewer generations finish what they have.
    fn begin_postponed(&mut self, effects: &mut Vec<Effect>) {
        let is_wanted = match self.phase {
            Phase::Starting => true,
            // One that waits for fewer pinned ones was reported once.
            Phase::Serving => !self.is_blocked(),
            _ => false,
        };
        if is_wanted && self.outdated && self.coming.is_none() {
            self.bring(effects);
        }
    }

    /// Nothing is to serve, and what is on its way goes when it has come.
    fn stopped(&mut self, phase: Phase, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Closing || (self.phase == Phase::Disabled && phase == Phase::Cold) {
            return;
        }
        self.crashes.clear();
        self.unwanted = self.coming.is_some();
        self.phase = phase;
        effects.push(Effect::Refuse);
        self.take_down(effects);
    }

    fn ready(&mut self, number: Number, now: Duration, effects: &mut Vec<Effect>) {
        if self.coming != Some(number) {
            return;
        }
        self.coming = None;
        if self.phase == Phase::Closing || self.unwanted {
            self.unwanted = false;
            self.retire(number, effects);
            return;
        }
        if self.ended {
            self.retire(number, effects);
            self.go_on_without(Cause::Failed, now, effects);
            return;
        }
        self.faults = 0;
        let before = self.serving.replace(number);
        self.phase = Phase::Serving;
        effects.push(Effect::Serve(number));
        if let Some(before) = before {
            self.retire(before, effects);
        }
        if self.outdated {
            self.bring(effects);
        }
    }

    fn not_ready(&mut self, number: Number, cause: Cause, now: Duration, effects: &mut Vec<Effect>) {
        if self.coming != Some(number) {
            return;
        }
        self.coming = None;
        if self.phase != Phase::Closing && !std::mem::take(&mut self.unwanted) {
            self.go_on_without(cause, now, effects);
        }
    }

    /// The generation that was coming does not serve.
    fn go_on_without(&mut self, cause: Cause, now: Duration, effects: &mut Vec<Effect>) {
        if self.outdated {
            self.bring(effects);
        } else if self.serving.is_none() {
            match cause {
                // Of what served when it was begun, and does not any more.
                Cause::Unchanged => return self.bring(effects),
                Cause::Unusable => self.phase = Phase::Failed,
                Cause::Failed => self.crashed(self.policy.first_pause, now, effects),
                Cause::Machine => {
                    self.phase = Phase::Resting;
                    self.rest_after_fault(effects);
                }
            }
            effects.push(Effect::Refuse);
        } else if cause == Cause::Machine {
            self.rest_after_fault(effects);
            self.retries = true;
        }
    }

    /// Tries again later, ever later, and without end.
    fn rest_after_fault(&mut self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Rest(self.policy.doubled(self.faults)));
        self.faults = self.faults.saturating_add(1);
    }

    /// Starts a generation, unless too many are pinned or still drain; the serving one continues until it is ready.
    fn bring(&mut self, effects: &mut Vec<Effect>) {
        self.retries = false;
        if self.is_blocked() {
            effects.push(Effect::Block);
            if self.serving.is_some() {
                self.outdated = true;
            } else {
                self.outdated = false;
                self.phase = Phase::Blocked;
                effects.push(Effect::Refuse);
            }
            return;
        }
        if self.retiring.len() >= self.policy.max_draining {
            effects.push(Effect::Postpone);
            self.outdated = true;
            if self.serving.is_none() {
                self.phase = Phase::Starting;
            }
            return;
        }
        self.last += 1;
        self.coming = Some(self.last);
        self.outdated = false;
        self.ended = false;
        if self.serving.is_none() {
            self.phase = Phase::Starting;
        }
        effects.push(Effect::Bring(self.last));
    }

    /// Retires what serves.
    fn take_down(&mut self, effects: &mut Vec<Effect>) {
        if let Some(number) = self.serving.take() {
            effects.push(Effect::Withdraw);
            self.retire(number, effects);
        }
    }

    fn retire(&mut self, number: Number, effects: &mut Vec<Effect>) {
        self.retiring.insert(number);
        effects.push(Effect::Retire(number));
    }

    /// Nothing serves any more because the app failed: starts it again, after `least` or longer, or gives up.
    fn crashed(&mut self, least: Duration, now: Duration, effects: &mut Vec<Effect>) {
        if self.coming.is_some() {
            self.phase = Phase::Starting;
            return;
        }
        self.crashes.push_back(now);
        while self.crashes.front().is_some_and(|&then| now.saturating_sub(then) > self.policy.window) {
            self.crashes.pop_front();
        }
        match self.policy.pause(self.crashes.len()).map(|pause| pause.max(least)) {
            Some(Duration::ZERO) => self.bring(effects),
            Some(pause) => {
                self.phase = Phase::Resting;
                effects.push(Effect::Rest(pause));
            }
            None => self.phase = Phase::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
