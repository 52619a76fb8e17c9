//! What becomes of a generation with a worker that hangs.

use std::time::Duration;

use super::Supervisor;
use crate::app::lifecycle::Event;
use crate::app::live_generation::{Housing, LiveGeneration};
use crate::config::Isolation;
use crate::library::preflight::has_children;

impl Supervisor {
    /// How long a worker of a generation may hang; `None`: for as long as it does, because threads cannot be ended.
    pub(super) fn hang_timeout(&self, live: &LiveGeneration) -> Option<Duration> {
        let settings = self.app.settings();
        let can_be_replaced = match live.housing {
            Housing::Process { .. } => true,
            Housing::Host { .. } => settings.isolation == Isolation::Auto && has_children(),
        };
        settings.hang_timeout().filter(|_| can_be_replaced)
    }

    /// Replaces the serving generation when one of its workers hangs.
    pub(super) fn hang_check(&mut self) {
        let Some(live) = self.lifecycle.serving().and_then(|number| self.live.get(&number)) else {
            return self.hang.stop();
        };
        let timeout = self.hang_timeout(live);
        let Some(worker) = self.hang.check(live.generation.unread(), timeout) else { return };
        let request = live.generation.running_request(worker);
        let request = request.map_or_else(String::new, |(id, line)| format!(", in {line} (request {id})"));
        let timeout = timeout.unwrap_or_default().as_millis();
        let reason = format!("worker {worker} took no message for hang_timeout_ms = {timeout}{request}");
        match &live.housing {
            Housing::Process { process, .. } => {
                process.kill_for(format!("{reason}, and its process was killed"))
            }
            Housing::Host { .. } => {
                let number = live.generation.number();
                self.app.moved().note(Some(live.hash.to_string()));
                self.blanks.fill(None);
                self.event(Event::Exited(number, format!("{reason}; it is moved to a process")));
            }
        }
        self.hang.stop();
    }
}
