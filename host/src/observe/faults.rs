//! The faults that ended earlier processes of a host, kept in a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{atomic_file, regular_file};
use crate::observe::entries::FaultEntry;

/// How many faults of a host are kept: the last ones, and before them those that still keep an app disabled.
pub(crate) const KEPT: usize = 16;

/// How many bytes the file may have.
const FILE_LIMIT: u64 = 16 << 20;

/// The faults of a host, the oldest first. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// Held while the file is written, so that the newest state is written last.
    file: Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<FaultEntry>,
    /// `None`: they are kept in memory only.
    file: Option<PathBuf>,
    /// The process that a fault ended before this one.
    ended: Option<u32>,
}

impl Faults {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes them to the file. Others can read them meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self) -> io::Result<()> {
        let _writes = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, text) = {
            let kept = self.kept();
            let Some(file) = kept.file.clone() else { return Ok(()) };
            (file, serde_json::to_vec(&kept.entries)?)
        };
        atomic_file::write(&file, 0o600, |new: &mut File| new.write_all(&text))
    }

    /// Reads the faults that are in a file, and keeps them there from now on. A file that is damaged counts as empty.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub(crate) fn open(&self, file: &Path) -> io::Result<()> {
        let mut kept = self.kept();
        kept.file = Some(file.to_owned());
        let text = match regular_file::read(file, FILE_LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        kept.entries = serde_json::from_slice(&text)?;
        Ok(())
    }

    /// Adds the fault that ended the process before this one.
    ///
    /// # Errors
    /// It cannot be written to the file.
    pub(crate) fn add(&self, fault: FaultEntry) -> io::Result<()> {
        let mut kept = self.kept();
        kept.ended = Some(fault.process);
        kept.push(fault);
        drop(kept);
        self.save()
    }

    /// Adds a fault that ended a process of an app's own. It is in the file after the next [`save`](Self::save).
    pub(crate) fn add_of_app(&self, fault: FaultEntry) {
        self.kept().push(fault);
    }

    /// The one that ended the process before this one.
    pub(crate) fn last(&self) -> Option<FaultEntry> {
        let kept = self.kept();
        let ended = kept.ended?;
        kept.entries.iter().rfind(|fault| fault.process == ended).cloned()
    }

    /// Those of an app, the oldest first.
    pub(crate) fn of_app(&self, app: &str) -> Vec<FaultEntry> {
        let is_its = |fault: &&FaultEntry| fault.app.as_deref() == Some(app);
        self.kept().entries.iter().filter(is_its).cloned().collect()
    }

    /// The last one of an app that ended the host, unless it is resolved.
    pub(crate) fn unresolved(&self, app: &str) -> Option<FaultEntry> {
        self.of_app(app).into_iter().rfind(|fault| !fault.own_process).filter(|fault| !fault.resolved)
    }

    /// Notes that those of an app no longer matter: it was enabled, or has another library.
    pub(crate) fn resolve(&self, app: &str) {
        let mut kept = self.kept();
        let its =
            kept.entries.iter_mut().filter(|fault| fault.app.as_deref() == Some(app) && !fault.resolved);
        if its.map(|fault| fault.resolved = true).count() == 0 {
            return;
        }
        drop(kept);
        if let Err(error) = self.save() {
            log::warn!(
                "{app}: cannot note that its fault is resolved, the next start disables it again: {error}"
            );
        }
    }
}

impl Kept {
    fn push(&mut self, fault: FaultEntry) {
        self.entries.push(fault);
        while self.entries.len() > KEPT {
            let spare = self.entries.iter().position(|fault| fault.resolved || fault.app.is_none());
            self.entries.remove(spare.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(app: &str, at_ms: u64) -> FaultEntry {
        FaultEntry { at_ms, app: Some(app.to_owned()), signal: "SIGSEGV".to_owned(), ..FaultEntry::default() }
    }

    #[test]
    fn faults_stay_until_there_are_too_many_and_those_in_force_longest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.json");
        let faults = Faults::default();
        faults.open(&file).unwrap();
        faults.add(fault("held", 0)).unwrap();
        for at_ms in 1..=KEPT as u64 + 3 {
            faults.add(fault("other", at_ms)).unwrap();
            faults.resolve("other");
        }
        let again = Faults::default();
        again.open(&file).unwrap();
        assert_eq!(again.of_app("held"), [fault("held", 0)]);
        let others: Vec<_> = again.of_app("other").iter().map(|fault| fault.at_ms).collect();
        assert_eq!(others, (5..=KEPT as u64 + 3).collect::<Vec<_>>());
        assert_eq!((again.unresolved("other"), again.last()), (None, None));
        assert_eq!(again.unresolved("held"), Some(fault("held", 0)));
        again.resolve("held");
        let third = Faults::default();
        third.open(&file).unwrap();
        assert_eq!(third.unresolved("held"), None);
    }

    #[test]
    fn a_damaged_file_is_reported_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history.json");
        std::fs::write(&file, "[{").unwrap();
        let faults = Faults::default();
        assert!(faults.open(&file).is_err());
        faults.add(fault("a", 1)).unwrap();
        faults.open(&file).unwrap();
        assert_eq!(faults.of_app("a").len(), 1);
    }
}
