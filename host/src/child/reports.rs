//! What is reported to the host.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use atoll_plugin::abi::LogRecord;
use log::{Log, Metadata, Record};

use crate::abi::reports::{Panic, Reports};
use crate::process::control::{LogReport, Report, encode};

/// Sends reports to the host. Clones share the socket.
#[derive(Clone, Debug)]
pub(super) struct ToHost(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    control: Arc<UnixStream>,
    /// Held while a report is written.
    turn: Mutex<()>,
    level: AtomicU8,
}

impl ToHost {
    /// By this socket; of log records those up to this level (1 to 5).
    pub(super) fn new(control: Arc<UnixStream>, level: u8) -> Self {
        Self(Arc::new(Shared { control, turn: Mutex::default(), level: level.into() }))
    }

    /// Sends a report, and waits until the host takes it.
    ///
    /// # Errors
    /// The host is gone, or the report is too large.
    pub(super) fn send(&self, report: &Report) -> io::Result<()> {
        let bytes = encode(report)?;
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        (&*self.0.control).write_all(&bytes)
    }

    pub(super) fn set_level(&self, level: u8) {
        self.0.level.store(level, Ordering::Relaxed);
    }

    /// Writes a warning to the app's log.
    pub(super) fn warn(&self, message: &str) {
        let (level, line) = (log::Level::Warn as u8, line!());
        let [target, file, message] = [module_path!(), file!(), message].map(Into::into);
        Reports::log(self, &LogRecord { level, line, target, file, message, ..LogRecord::default() });
    }
}

impl Reports for ToHost {
    fn max_level(&self) -> u8 {
        self.0.level.load(Ordering::Relaxed)
    }

    fn is_enabled(&self, level: u8, _target: &str) -> bool {
        level <= self.max_level()
    }

    fn log(&self, record: &LogRecord<'_>) {
        let LogRecord { level, line, .. } = *record;
        let [target, file, message, fields, spans] =
            [record.target, record.file, record.message, record.fields, record.spans].map(String::from);
        // Without a host there is nobody to report to, and this process ends.
        let _ = self.send(&Report::Log(LogReport { level, line, target, file, message, fields, spans }));
    }

    fn panicked(&self, panic: Panic, _library: &Path) {
        // As above.
        let _ = self.send(&Report::Panicked(panic));
    }
}

/// What the host's own code writes to the log here.
impl Log for ToHost {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let (level, line) = (record.level() as u8, record.line().unwrap_or(0));
            let message = record.args().to_string();
            let [target, file, message] =
                [record.target(), record.file().unwrap_or_default(), &message].map(Into::into);
            Reports::log(self, &LogRecord { level, line, target, file, message, ..LogRecord::default() });
        }
    }

    fn flush(&self) {}
}
