//! What a library reports: its log records and its panics.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use atoll_plugin::abi::LogRecord;
use serde::{Deserialize, Serialize};

use crate::abi::panic_report;
use crate::abi::panic_report::symbols::DebugInfo;
use crate::observe::app_log::AppLog;
use crate::observe::logging;
use crate::observe::unix_time::now_ms;

/// Where the reports of a library go.
pub(crate) trait Reports: Debug + Send + Sync {
    /// The most verbose level of the records that it is to send: 0 (none) to 5 (trace).
    fn max_level(&self) -> u8;

    /// Whether a record of this level (1 to 5) and target would be written.
    fn is_enabled(&self, level: u8, target: &str) -> bool;

    /// Writes a record.
    fn log(&self, record: &LogRecord<'_>);

    /// Reports a panic, in the library of this file.
    fn panicked(&self, panic: Panic, library: &Path);
}

/// A panic, whose backtrace is not read yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Panic {
    /// The panic's text.
    pub(crate) message: String,
    /// The source file, or empty.
    pub(crate) file: String,
    /// The line in `file`, or 0.
    pub(crate) line: u32,
    /// The column in `line`, or 0.
    pub(crate) column: u32,
    /// The places in the library that were on the stack, the innermost first: addresses less that at which it is loaded.
    pub(crate) places: Vec<u64>,
}

/// Reports of a library go to the records of its app.
#[derive(Debug)]
pub(crate) struct ToAppLog {
    app: Arc<str>,
    generation: u64,
    app_log: Arc<AppLog>,
    debug_info: DebugInfo,
}

impl ToAppLog {
    /// For a generation of an app.
    pub(crate) fn new(app: Arc<str>, generation: u64, app_log: Arc<AppLog>) -> Self {
        Self { app, generation, app_log, debug_info: DebugInfo::new() }
    }
}

/// A panic that is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// When it was, in milliseconds since 1970.
    pub(super) at_ms: u64,
    /// How many before it were not written.
    pub(super) only_counted: u64,
}

impl ToAppLog {
    /// Counts a panic; `None`: it is one too many to be written.
    pub(super) fn count_panic(&self) -> Option<Counted> {
        let only_counted = self.app_log.count_panic()?;
        Some(Counted { at_ms: now_ms(), only_counted })
    }

    /// Writes a panic, with its backtrace. To read a library's debug information takes up to a second.
    pub(super) fn write_panic(&self, panic: Panic, counted: Counted, library: &Path) {
        let Self { app, generation, app_log, debug_info } = self;
        panic_report::write(app, *generation, app_log, debug_info, panic, counted, library);
    }
}

impl Reports for ToAppLog {
    fn max_level(&self) -> u8 {
        logging::max_level(self.app_log.level())
    }

    fn is_enabled(&self, level: u8, target: &str) -> bool {
        logging::enabled(&self.app_log, level, target)
    }

    fn log(&self, record: &LogRecord<'_>) {
        logging::write(&self.app, self.generation, &self.app_log, record);
    }

    fn panicked(&self, panic: Panic, library: &Path) {
        if let Some(counted) = self.count_panic() {
            self.write_panic(panic, counted, library);
        }
    }
}
