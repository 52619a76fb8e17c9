//! What a supervisor tells the operator.

use super::Supervisor;
use crate::app::lifecycle::Report;
use crate::observe::history::State;

impl Supervisor {
    pub(super) fn report(&self, report: Report) {
        let name = self.app.name();
        match report {
            Report::Unchanged => {
                log::info!("{name}: the library and the environment are unchanged: nothing to reload")
            }
            Report::Failed(number, reason) => {
                let serving = self.lifecycle.serving();
                let stays =
                    serving.map_or(String::new(), |serving| format!("; generation {serving} keeps serving"));
                log::error!("{name}: generation {number} failed to start: {reason}{stays}");
                self.app.metrics().refused.add(1);
                self.record(number, State::Refused, reason);
            }
            Report::Restored(number, reason) => {
                log::error!(
                    "{name}: the new library failed to start: {reason}; generation {number} has the previous library"
                );
                self.app.metrics().refused.add(1);
                self.record(number, State::Refused, reason);
            }
            Report::Crashed(number, reason) => {
                self.app.metrics().worker_ends.add(1);
                log::error!("{name}#{number}: {reason}");
            }
            Report::Blocked(reason) => {
                log::error!("{name}: {reason}");
                self.record(self.lifecycle.last(), State::Refused, reason);
            }
            Report::Postponed(draining) => {
                let limit = self.app.settings().max_draining;
                log::warn!(
                    "{name}: the next generation starts when one of the {draining} that are draining has ended \
                    (max_draining = {limit})"
                );
            }
        }
    }
}
