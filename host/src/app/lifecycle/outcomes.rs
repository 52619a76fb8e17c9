//! What comes of generations.

use std::time::Duration;

use super::Lifecycle;
use super::effect::{Effect, Report};
use super::event::{Cause, Number};
use super::failure::Failure;
use super::phase::Phase;

impl Lifecycle {
    /// The serving generation gets no more requests until the next one is ready, so that no change to its state is lost.
    pub(super) fn hand_over(&mut self) {
        if let Some(number) = self.serving
            && self.starting.is_some()
            && !self.is_held
        {
            self.is_held = true;
            self.effects.push(Effect::Hold(number));
        }
    }

    pub(super) fn ready(&mut self, number: Number) {
        let Some(starting) = self.starting.take_if(|starting| starting.number == number) else { return };
        if self.discards_start() {
            return self.retire(number);
        }
        if let Some(reason) = starting.exit {
            self.resume();
            self.fail(number, Failure::Failed(reason.clone()));
            self.retire(number);
            self.start_failed(Cause::Failed);
            return self.answer_reload(number, Err(reason));
        }
        self.serve(number, starting.start.relieves_heap);
        self.answer_reload(number, Ok(number));
        if self.is_outdated {
            self.start();
        }
    }

    pub(super) fn restored(&mut self, number: Number, reason: String) {
        let Some(starting) = self.starting.take_if(|starting| starting.number == number) else { return };
        if self.discards_start() {
            return self.retire(number);
        }
        self.failure = Some(Failure::Failed(reason.clone()));
        self.effects.push(Effect::Report(Report::Restored(number, reason.clone())));
        if let Some(exit) = starting.exit {
            self.resume();
            self.retire(number);
            self.fail(number, Failure::Failed(exit));
            self.start_failed(Cause::Failed);
        } else {
            self.serve(number, false);
            if self.is_outdated {
                self.start();
            }
        }
        self.answer_reload(number, Err(reason));
    }

    /// Sends new requests to a generation that is ready, instead of the one before.
    fn serve(&mut self, number: Number, relieves_heap: bool) {
        self.is_held = false;
        self.faults = 0;
        self.phase = Phase::Serving;
        let replaces = self.serving.replace(number);
        self.effects.extend([Effect::Serve { number, replaces, relieves_heap }, Effect::Admit]);
        if let Some(before) = replaces {
            self.retire(before);
        }
    }

    pub(super) fn not_ready(&mut self, number: Number, cause: Cause, reason: String) {
        let Some(starting) = self.starting.take_if(|starting| starting.number == number) else { return };
        self.resume();
        match cause {
            Cause::Unchanged => self.effects.push(Effect::Report(Report::Unchanged)),
            Cause::Build => self.failure = Some(Failure::Unusable(reason.clone())),
            Cause::Unusable => self.fail(number, Failure::Unusable(reason.clone())),
            Cause::Failed | Cause::Machine => self.fail(number, Failure::Failed(reason.clone())),
        }
        if self.discards_start() {
            return;
        }
        if cause == Cause::Machine && self.next.is_plain() {
            self.next = starting.start;
        }
        self.start_failed(cause);
        let answer = match cause {
            // What was asked for serves already; or it is started again, which is still to come.
            Cause::Unchanged if !starting.start.is_forced => self.serving.map(Ok),
            _ => Some(Err(reason)),
        };
        if let Some(answer) = answer {
            self.answer_reload(number, answer);
        }
    }

    pub(super) fn exited(&mut self, number: Number, reason: String) {
        if self.serving == Some(number) {
            self.effects.push(Effect::Report(Report::Crashed(number, reason.clone())));
            self.failure = Some(Failure::Failed(reason));
            self.take_down();
            self.crashed(Duration::ZERO);
        } else if let Some(starting) = self.starting.as_mut().filter(|starting| starting.number == number) {
            starting.exit.get_or_insert(reason);
        }
    }

    pub(super) fn idle(&mut self, number: Number) {
        if self.serving != Some(number) {
            return;
        }
        self.take_down();
        self.pause_until = None;
        // A reload that was asked for is still to come, although no call waits for it.
        if self.starting.is_some() || self.reload_from.is_some() {
            self.phase = Phase::Starting;
        } else {
            self.is_outdated = false;
            self.phase = Phase::Cold;
        }
    }

    /// Starts what was postponed until fewer generations drain.
    pub(super) fn gone(&mut self, number: Number) {
        self.retiring.remove(&number);
        let is_wanted = match self.phase {
            Phase::Starting => true,
            // One that waits for fewer pinned ones was reported once, unless someone waits for the answer.
            Phase::Serving => self.reload_from.is_some() || !self.is_blocked(),
            _ => false,
        };
        if is_wanted && self.is_outdated && self.starting.is_none() {
            self.start();
        }
    }

    pub(super) fn pause_over(&mut self) {
        if self.pause_until.take().is_some() && self.starting.is_none() {
            self.start();
        }
    }

    pub(super) fn pinned(&mut self, count: usize) {
        self.pinned = count;
        let was_blocked = self.phase == Phase::Blocked;
        self.unblock();
        if was_blocked {
            self.preload();
        }
    }

    /// Resumes starts that were held back because too many generations were pinned, if they no longer are.
    pub(super) fn unblock(&mut self) {
        match self.phase {
            _ if self.is_blocked() => {}
            Phase::Blocked => self.phase = Phase::Cold,
            Phase::Serving if self.is_outdated && self.starting.is_none() => self.start(),
            _ => {}
        }
    }

    /// Whether no request waits for the generation that was starting.
    fn discards_start(&mut self) -> bool {
        let is_discarded = std::mem::take(&mut self.is_unwanted) || self.phase == Phase::Closing;
        self.is_outdated &= !is_discarded;
        is_discarded
    }

    /// The serving generation gets requests again, because the next one is not ready.
    fn resume(&mut self) {
        if std::mem::take(&mut self.is_held)
            && let Some(number) = self.serving
        {
            self.effects.extend([Effect::Resume(number), Effect::Admit]);
        }
    }

    fn fail(&mut self, number: Number, failure: Failure) {
        self.effects.push(Effect::Report(Report::Failed(number, failure.to_string())));
        self.failure = Some(failure);
    }

    /// Continues without the generation that was starting.
    fn start_failed(&mut self, cause: Cause) {
        if self.is_outdated {
            self.start();
        } else if self.serving.is_some() {
            if cause == Cause::Machine {
                self.pause_after_fault();
            }
        } else {
            match cause {
                // It was compared with the one that served when it was begun, and does not any more.
                Cause::Unchanged => return self.start(),
                Cause::Build | Cause::Unusable => self.phase = Phase::Failed,
                Cause::Failed => self.crashed(self.policy.first_pause),
                Cause::Machine => {
                    self.phase = Phase::Resting;
                    self.pause_after_fault();
                }
            }
            self.effects.push(Effect::Refuse);
        }
    }

    /// Tries again later, with a growing pause, and without end.
    fn pause_after_fault(&mut self) {
        self.pause_until = Some(self.now + self.policy.doubled(self.faults));
        self.faults = self.faults.saturating_add(1);
    }

    /// Nothing serves any more because the app failed: starts it again, after `least` or longer, or gives up.
    fn crashed(&mut self, least: Duration) {
        if self.starting.is_some() {
            self.phase = Phase::Starting;
            return;
        }
        self.crashes.push_back(self.now);
        while self.crashes.front().is_some_and(|&then| self.now.saturating_sub(then) > self.policy.window) {
            self.crashes.pop_front();
        }
        self.pause_until = None;
        let pause = self.policy.pause(self.crashes.len()).map(|pause| pause.max(least));
        if pause == Some(Duration::ZERO) {
            return self.start();
        }
        self.phase = if pause.is_some() { Phase::Resting } else { Phase::Failed };
        self.pause_until = pause.map(|pause| self.now + pause);
        self.is_outdated = false;
        // One that was postponed: it comes with the next start.
        let reason = self.failure.as_ref().map_or_else(String::new, Failure::to_string);
        self.abandon_reload(&reason);
    }
}
