//! The bridge from this library's `log` to the host's.
//!
//! Every loaded library has its own copy of `log`'s statics; this logger hands records over, filtered by the host
//! before they are formatted.

use std::fmt::Write;

use abi_stable::std_types::RStr;

use crate::abi::LogRecord;
use crate::abi::call::Call;
use crate::abi::hooks::process;
use crate::abi::link;
use crate::protocol::LogLevel;

struct HostLogger;

static LOGGER: HostLogger = HostLogger;

/// Installs the bridge; `max_level` is 0 (off) to 5 (trace).
pub(crate) fn install(max_level: u8) {
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(level_filter(max_level));
    }
}

/// Applies the log level from the host's [`method::LOG_LEVEL`](crate::protocol::method::LOG_LEVEL).
pub(crate) fn follow(call: &Call) {
    match call.params() {
        Ok(LogLevel { level }) => log::set_max_level(level_filter(level)),
        Err(error) => log::error!("cannot parse the host's log level: {error}"),
    }
}

fn level_filter(level: u8) -> log::LevelFilter {
    log::LevelFilter::iter().nth(usize::from(level)).unwrap_or(log::LevelFilter::Trace)
}

impl log::Log for HostLogger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        link::get().is_some_and(|link| {
            let target = RStr::from(metadata.target());
            // SAFETY: the target lives through the call.
            unsafe { link.host.log_enabled()(link.generation, metadata.level() as u8, target) }
        })
    }

    fn log(&self, record: &log::Record<'_>) {
        // A forked child has no host, and must not wait for a lock of it.
        if !self.enabled(record.metadata()) || process::is_forked_child() {
            return;
        }
        let Some(link) = link::get() else { return };
        let mut buffer = String::new();
        let message = match record.args().as_str() {
            Some(text) => text,
            None => {
                // Writing to a string fails only when a `Display` does; what it wrote so far is logged.
                let _ = buffer.write_fmt(*record.args());
                &buffer
            }
        };
        let record = LogRecord {
            level: record.level() as u8,
            line: record.line().unwrap_or(0),
            target: record.target().into(),
            file: record.file().unwrap_or("").into(),
            message: message.into(),
        };
        // SAFETY: the record's texts live through the call.
        unsafe { link.host.log_write()(link.generation, &record) };
    }

    fn flush(&self) {}
}
