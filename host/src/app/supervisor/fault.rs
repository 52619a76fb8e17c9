//! What becomes of an app that ended the host with a fault, when the host has started again.

use super::Supervisor;
use crate::app::libraries::Library;
use crate::app::lifecycle::Event;
use crate::config::{AppConfig, OnFault};
use crate::library::needed::content_hash;
use crate::library::preflight::has_children;
use crate::library::source::Source;
use crate::observe::entries::FaultEntry;

impl Supervisor {
    /// Decides, before the app may start, what its setting `on_fault` means for it.
    pub(super) async fn judge_fault(&mut self) {
        let Some(fault) = self.faults.unresolved(self.app.name()) else { return };
        match self.app.settings().on_fault {
            OnFault::Restart => self.faults.resolve(self.app.name()),
            OnFault::Process if !has_children() => {
                log::warn!(
                    "{}: runs as before, because this program does not call `run_child_process`: {}",
                    self.app.name(),
                    fault.summary()
                );
                self.faults.resolve(self.app.name());
            }
            OnFault::Process if self.has_other_library(&fault).await => self.faults.resolve(self.app.name()),
            OnFault::Process => {
                log::warn!(
                    "{}: runs in a separate process (on_fault = process), because {}; deploy a fixed library, or run \
                    `atoll enable {}`",
                    self.app.name(),
                    fault.summary(),
                    self.app.name()
                );
                self.app.moved().note(fault.library.clone());
                self.blanks.fill(None);
            }
            OnFault::Disable if self.has_other_library(&fault).await => {
                log::info!(
                    "{}: enabled, because its library is not the one that ended the host",
                    self.app.name()
                );
                self.faults.resolve(self.app.name());
            }
            OnFault::Disable => {
                log::warn!(
                    "{}: disabled (on_fault = disable), because {}; deploy a fixed library, or run `atoll enable {}`",
                    self.app.name(),
                    fault.summary(),
                    self.app.name()
                );
                self.event(Event::Faulted(fault.summary()));
            }
        }
    }

    /// Takes note of changed settings: an app that may restart after a fault is not held back any more.
    pub(super) fn judge_settings(&mut self, config: &AppConfig) {
        match config.settings.on_fault {
            OnFault::Restart | OnFault::Process if self.lifecycle.is_faulted() => self.event(Event::Enabled),
            OnFault::Restart | OnFault::Process | OnFault::Disable => {}
        }
    }

    /// Whether the library is known to be another one than that of the fault.
    async fn has_other_library(&self, fault: &FaultEntry) -> bool {
        let Some(hash) = fault.library.clone() else { return false };
        let (library, app) = (self.library.clone(), self.app.name().clone());
        let differs = move || {
            let file = match &library {
                Library::At(path) => Source::locate(path.clone(), &app).library().ok()?.to_owned(),
                Library::Built(file) => file.clone(),
                Library::Failed(_) => return None,
            };
            Some(content_hash(&file).ok()?.to_string() != hash)
        };
        // A library that cannot be read fixes nothing.
        self.file_lookups.run(differs).await.ok().flatten().unwrap_or(false)
    }
}
