//! What calls, users and files ask of an app.

use std::time::Duration;

use super::effect::Effect;
use super::event::Number;
use super::failure::Failure;
use super::phase::Phase;
use super::policy::Policy;
use super::start::Start;
use super::{Lifecycle, Unavailable};

impl Lifecycle {
    pub(super) fn wanted(&mut self) {
        match self.phase {
            // The app was stopped while this one was starting; a call wants it again.
            Phase::Cold if self.starting.is_some() => {
                self.is_unwanted = false;
                self.phase = Phase::Starting;
            }
            Phase::Cold => self.start(),
            Phase::Starting => {}
            // Calls wait for the outcome of the hand-over.
            Phase::Serving if self.is_held => {}
            Phase::Serving => self.effects.push(Effect::Admit),
            Phase::Resting
            | Phase::Failed
            | Phase::Blocked
            | Phase::Standby
            | Phase::Disabled
            | Phase::Closing => self.effects.push(Effect::Refuse),
        }
    }

    pub(super) fn start_requested(&mut self) {
        if matches!(self.phase, Phase::Resting | Phase::Failed) {
            self.changed();
        }
        self.wanted();
    }

    pub(super) fn reload_requested(&mut self, start: Start) {
        if matches!(self.phase, Phase::Standby | Phase::Disabled | Phase::Closing) {
            let reason = self.unavailable(self.now).to_string();
            return self.effects.push(Effect::ReloadDone(Err(reason)));
        }
        self.reload_from = Some(self.last + 1);
        self.next = Start { noticed: Some(self.now), ..start };
        self.changed();
        match self.phase {
            Phase::Cold => self.wanted(),
            Phase::Blocked => self.abandon_reload(&self.unavailable(self.now).to_string()),
            _ => {}
        }
    }

    /// Stops the serving generation, and the one that is starting once it is ready.
    pub(super) fn stop(&mut self, phase: Phase) {
        self.stop_requested = true;
        if self.phase == Phase::Closing || (self.phase == Phase::Disabled && phase != Phase::Disabled) {
            return;
        }
        self.forget_fault();
        self.crashes.clear();
        self.pause_until = None;
        self.is_unwanted = self.starting.is_some();
        self.is_outdated &= self.is_unwanted;
        self.phase = phase;
        self.effects.push(Effect::Refuse);
        self.take_down();
        self.abandon_reload("the app was stopped");
    }

    pub(super) fn enabled(&mut self) {
        self.forget_fault();
        if self.phase == Phase::Disabled {
            self.phase = self.at_rest();
        }
        self.preload();
    }

    /// The app stops, and does not start until it is [freed](Self::freed).
    pub(super) fn stand_by(&mut self) {
        self.stands_by = true;
        self.stop(Phase::Standby);
    }

    /// The app may start.
    pub(super) fn freed(&mut self) {
        self.stands_by = false;
        if self.phase == Phase::Standby {
            self.phase = Phase::Cold;
        }
        self.prepare();
    }

    /// The app is disabled until it is enabled, or its library changes.
    pub(super) fn faulted(&mut self, reason: String) {
        if self.phase == self.at_rest() && self.starting.is_none() {
            self.phase = Phase::Disabled;
            self.failure = Some(Failure::Faulted(reason));
            self.effects.push(Effect::Refuse);
        }
    }

    fn forget_fault(&mut self) {
        if self.is_faulted() {
            self.failure = None;
        }
    }

    pub(super) fn library_changed(&mut self, noticed: Duration) {
        self.next.noticed = Some(noticed);
        self.next.rollback = None;
        if self.phase == Phase::Disabled && self.is_faulted() {
            self.forget_fault();
            self.phase = self.at_rest();
        }
        self.changed();
        self.prepare();
    }

    pub(super) fn environment_changed(&mut self, noticed: Duration) {
        self.next.noticed = Some(noticed);
        self.changed();
        self.preload();
    }

    pub(super) fn configured(&mut self, policy: Policy) {
        self.policy = policy;
        self.next.noticed = Some(self.now);
        self.next.is_forced = true;
        self.changed();
        self.prepare();
    }

    pub(super) fn heap_exceeded(&mut self, number: Number) {
        if self.serving == Some(number) && self.starting.is_none() {
            self.next.noticed = Some(self.now);
            self.next.is_forced = true;
            self.next.relieves_heap = true;
            self.changed();
        }
    }

    pub(super) fn closed(&mut self) {
        self.phase = Phase::Closing;
        self.pause_until = None;
        self.next = Start::default();
        self.effects.push(Effect::Refuse);
        self.take_down();
        self.abandon_reload(&Unavailable::Closing.to_string());
    }

    /// Starts the app, or has its library prepared for the call that does, where it is cold.
    pub(super) fn prepare(&mut self) {
        self.preload();
        if self.phase == Phase::Cold {
            self.effects.push(Effect::Prepare);
        }
    }

    /// Starts the app, if it is to run without calls.
    pub(super) fn preload(&mut self) {
        if self.policy.preload && self.phase == Phase::Cold {
            self.wanted();
        }
    }

    /// Brings a change into force: at once where something serves, else with the next call.
    fn changed(&mut self) {
        self.crashes.clear();
        match self.phase {
            _ if self.starting.is_some() => self.is_outdated = true,
            Phase::Serving => self.start(),
            Phase::Resting | Phase::Failed => {
                self.pause_until = None;
                self.phase = Phase::Cold;
            }
            // Another limit may be in force.
            Phase::Blocked => self.unblock(),
            Phase::Cold | Phase::Starting | Phase::Standby | Phase::Disabled | Phase::Closing => {}
        }
    }
}
