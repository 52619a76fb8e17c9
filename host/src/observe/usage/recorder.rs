//! The thread that reads the meters, and writes what it finds.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::shared::Usage;
use super::store::Store;
use crate::observe::unix_time::now_ms;

/// How often meters are read: a heap counts with its size at these times.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// How often what was found is written. A host that is killed loses as much, and what a busy disk adds: 10 s are promised.
pub(crate) const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// Counts what the apps of a host use. Dropping it waits until all is written.
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
        let (store, ledger) = match opened {
            Some((store, ledger)) => (Some(store), ledger),
            None => (None, Ledger::default()),
        };
        usage.publish(&ledger);
        let (end, ends) = channel();
        let keeper = Keeper { usage, store, ledger, is_failing: false };
        let thread = thread::Builder::new().name("atoll-usage".into()).spawn(move || keeper.run(&ends))?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        drop(self.end.take());
        // A panic of it is in the log.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

struct Keeper {
    usage: Usage,
    /// `None`: the counts are in memory only.
    store: Option<Store>,
    ledger: Ledger,
    /// Whether they could not be written last.
    is_failing: bool,
}

impl Keeper {
    fn run(mut self, ends: &Receiver<()>) {
        let mut written = Instant::now();
        while let Err(RecvTimeoutError::Timeout) = ends.recv_timeout(READ_INTERVAL) {
            self.usage.read(&mut self.ledger, now_ms());
            if written.elapsed() >= WRITE_INTERVAL {
                written = Instant::now();
                self.write();
            }
        }
        self.usage.read(&mut self.ledger, now_ms());
        self.write();
    }

    /// Writes what was counted, and has it reported when it is safe.
    fn write(&mut self) {
        let saved = match &mut self.store {
            Some(store) => store.save(&mut self.ledger, now_ms()),
            None => Ok(()),
        };
        match saved {
            Ok(()) => {
                self.usage.publish(&self.ledger);
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
