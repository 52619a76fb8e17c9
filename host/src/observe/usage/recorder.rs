//! The thread that reads the meters, and writes what it finds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::shared::Usage;
use super::store::{Store, UsageError};
use crate::observe::unix_time::now_ms;

/// How often meters are read: a heap counts with its size at these times.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// How often what was found is written. A host that is killed loses as much, and what a busy disk adds: 10 s are promised.
pub(crate) const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a host that ends waits for the folder of the host that it has replaced, which still finishes requests.
const FOLDER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it looks.
const FOLDER_INTERVAL: Duration = Duration::from_millis(50);

/// Counts what the apps of a host use. Dropping it waits until all is written, unless another host still has the folder: see
/// [`finish`](Self::finish).
#[derive(Debug)]
pub(crate) struct Recorder {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts to count; `folder` keeps the counts. Without one, or when it cannot be used, they are lost with the host, which the
    /// log has.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start(usage: Usage, folder: Option<&Path>) -> io::Result<Self> {
        let opened = folder.map(Store::open).transpose().unwrap_or_else(|error| {
            log::warn!("what apps use is counted until the host ends, and not kept: {error}");
            None
        });
        let (place, written) = match opened {
            Some((store, written)) => (Place::Store(store), written),
            None => (Place::Memory, Ledger::default()),
        };
        usage.publish(written.clone());
        Self::run(usage, place, written)
    }

    /// As [`start`](Self::start), for a host that replaces another one. That one keeps its counts in the folder until
    /// it ends: until then, these are in memory, and reports have what the folder has.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start_after_another(usage: Usage, folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else { return Self::start(usage, None) };
        match Ledger::read(folder) {
            Ok(written) => usage.publish(written),
            Err(error) => log::debug!("{error}"),
        }
        Self::run(usage, Place::Taken(folder.to_owned()), Ledger::default())
    }

    fn run(usage: Usage, place: Place, written: Ledger) -> io::Result<Self> {
        let (end, ends) = channel();
        let keeper = Keeper { usage, place, written, unwritten: Ledger::default(), is_failing: false };
        let thread = thread::Builder::new().name("atoll-usage".into()).spawn(move || keeper.run(&ends))?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }

    /// Ends it, and waits for the folder if another host that this one has replaced still has it.
    pub(crate) fn finish(self) {
        if let Some(end) = &self.end {
            // Without its thread there is nothing to wait for.
            let _ = end.send(());
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        drop(self.end.take());
        // A panic of it is in the log.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Where counts are kept.
enum Place {
    /// In memory, until the host ends.
    Memory,
    /// In files.
    Store(Store),
    /// In memory, until another host has left this folder.
    Taken(PathBuf),
}

struct Keeper {
    usage: Usage,
    place: Place,
    /// What is in its place, and reported: it shares the memory of that.
    written: Ledger,
    /// What was used since.
    unwritten: Ledger,
    /// Whether they could not be written last.
    is_failing: bool,
}

impl Keeper {
    fn run(mut self, ends: &Receiver<()>) {
        let mut written = Instant::now();
        let waits = loop {
            match ends.recv_timeout(READ_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                end => break end.is_ok(),
            }
            self.usage.read(&mut self.unwritten, now_ms());
            self.move_in();
            if written.elapsed() >= WRITE_INTERVAL {
                written = Instant::now();
                self.write();
            }
        };
        self.usage.read(&mut self.unwritten, now_ms());
        self.move_in();
        let given_up = Instant::now() + FOLDER_TIMEOUT;
        while waits && matches!(self.place, Place::Taken(_)) && Instant::now() < given_up {
            thread::sleep(FOLDER_INTERVAL);
            self.move_in();
        }
        if let (true, Place::Taken(folder)) = (waits, &self.place) {
            log::warn!(
                "what apps have used is lost: another host has kept its counts in {} for {FOLDER_TIMEOUT:?} more",
                folder.display()
            );
        }
        self.write();
    }

    /// Opens the folder that another host has had, if it has left it.
    fn move_in(&mut self) {
        let Place::Taken(folder) = &self.place else { return };
        match Store::open(folder) {
            Ok((store, written)) => (self.place, self.written) = (Place::Store(store), written),
            Err(UsageError::Taken { .. }) => {}
            Err(error) => {
                log::warn!("what apps use is counted until the host ends, and not kept: {error}");
                self.place = Place::Memory;
            }
        }
    }

    /// Writes what was counted, and has it reported when it is safe.
    fn write(&mut self) {
        let mut ledger = self.written.clone();
        ledger.add_all(&self.unwritten);
        let saved = match &mut self.place {
            Place::Store(store) => store.save(&mut ledger, now_ms()),
            Place::Memory => {
                ledger.close_hours(now_ms());
                Ok(())
            }
            Place::Taken(_) => return,
        };
        match saved {
            Ok(()) => {
                self.unwritten = Ledger::default();
                self.written = ledger.clone();
                self.usage.publish(ledger);
                if std::mem::take(&mut self.is_failing) {
                    log::info!("what apps use is kept again");
                }
            }
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                log::warn!("cannot keep what apps use, and try again: {error}");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::usage::amounts::Amounts;
    use crate::observe::usage::ledger::HOUR_MS;
    use crate::observe::usage::past::KEPT_HOURS;
    use crate::observe::usage::rows::Key;

    #[test]
    fn without_a_folder_as_many_hours_are_kept() {
        let usage = Usage::default();
        let (written, unwritten) = (Ledger::default(), Ledger::default());
        let mut keeper =
            Keeper { usage: usage.clone(), place: Place::Memory, written, unwritten, is_failing: false };
        let key = Key { app: "a".into(), library: "0123456789ab".into() };
        let hours = KEPT_HOURS as u64 + 10;
        for hour in 0..hours {
            keeper.unwritten.add(hour * HOUR_MS, &key, &Amounts { requests: 1, ..Amounts::default() });
            keeper.write();
        }
        assert_eq!(keeper.written.hours().count(), KEPT_HOURS);
        assert_eq!(keeper.unwritten.hours().count(), 0);
        let requests: Vec<u64> = usage.report(None, None).apps.iter().map(|entry| entry.requests).collect();
        assert_eq!(requests, [hours], "nothing is lost");
    }
}
