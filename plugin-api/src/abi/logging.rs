//! The bridge from this library's `log` to the host's.
//!
//! Every loaded library has its own copy of `log`'s statics; this logger hands records over, filtered by the host
//! before they are formatted.

use std::fmt::Write;
#[cfg(feature = "tracing")]
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use abi_stable::std_types::RStr;

use crate::abi::LogRecord;
use crate::abi::call::Call;
use crate::abi::fields::Fields;
use crate::abi::hooks::process;
use crate::abi::link;
use crate::protocol::LogLevel;

struct HostLogger;

static LOGGER: HostLogger = HostLogger;

/// The most verbose level of the records that the host wants: 0 (off) to 5 (trace).
static MAX_LEVEL: AtomicU8 = AtomicU8::new(0);

/// Whether the bridge is installed.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// What is called when the most verbose level has changed.
#[cfg(feature = "tracing")]
static ON_CHANGE: OnceLock<fn()> = OnceLock::new();

/// Takes note of the most verbose level of the records that the host wants: 0 (off) to 5 (trace).
pub(crate) fn set_max_level(max_level: u8) {
    MAX_LEVEL.store(max_level, Ordering::Relaxed);
    if IS_INSTALLED.load(Ordering::Relaxed) {
        log::set_max_level(level_filter(max_level));
    }
    #[cfg(feature = "tracing")]
    if let Some(on_change) = ON_CHANGE.get() {
        on_change();
    }
}

/// Has `on_change` called whenever the most verbose level has changed. The first one stays.
#[cfg(feature = "tracing")]
pub(crate) fn on_level_change(on_change: fn()) {
    ON_CHANGE.get_or_init(|| on_change);
}

/// The most verbose level of the records that the host wants: 0 (off) to 5 (trace).
#[cfg(feature = "tracing")]
pub(crate) fn max_level() -> u8 {
    MAX_LEVEL.load(Ordering::Relaxed)
}

/// Installs the bridge, unless there is a logger.
pub(crate) fn install() {
    if log::set_logger(&LOGGER).is_ok() {
        IS_INSTALLED.store(true, Ordering::Relaxed);
        set_max_level(MAX_LEVEL.load(Ordering::Relaxed));
    }
}

/// Whether this is the text of a failure to set a logger because of the bridge. The host starts the app again without it.
pub(crate) fn is_in_the_way(text: &str) -> bool {
    IS_INSTALLED.load(Ordering::Relaxed) && text.contains("SetLoggerError")
}

/// Whether there is a host to write to.
pub(crate) fn can_write() -> bool {
    link::get().is_some_and(|link| !link.is_test)
}

/// Whether the host wants a record of this level, 1 (error) to 5 (trace), and target.
pub(crate) fn is_enabled(level: u8, target: &str) -> bool {
    link::get().is_some_and(|link| {
        // SAFETY: the target lives through the call.
        unsafe { link.host.log_enabled()(link.generation, level, RStr::from(target)) }
    })
}

/// Writes a record to the host's log.
pub(crate) fn write(record: &LogRecord<'_>) {
    if let Some(link) = link::get() {
        // SAFETY: the record's texts live through the call.
        unsafe { link.host.log_write()(link.generation, record) };
    }
}

/// Writes a line of a standard stream. The host finds out its level.
pub(crate) fn write_line(stream: &str, line: &str) {
    let level = log::Level::Info as u8;
    write(&LogRecord { level, target: stream.into(), message: line.into(), ..LogRecord::default() });
}

/// Applies the log level from the host's [`method::LOG_LEVEL`](crate::protocol::method::LOG_LEVEL).
pub(crate) fn follow(call: &Call) {
    match call.params() {
        Ok(LogLevel { level }) => set_max_level(level),
        Err(error) => log::error!("cannot parse the host's log level: {error}"),
    }
}

fn level_filter(level: u8) -> log::LevelFilter {
    log::LevelFilter::iter().nth(usize::from(level)).unwrap_or(log::LevelFilter::Trace)
}

impl log::Log for HostLogger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        is_enabled(metadata.level() as u8, metadata.target())
    }

    fn log(&self, record: &log::Record<'_>) {
        // A forked child has no host, and must not wait for a lock of it.
        if !self.enabled(record.metadata()) || process::is_forked_child() {
            return;
        }
        let mut buffer = String::new();
        let message = match record.args().as_str() {
            Some(text) => text,
            None => {
                // Writing to a string fails only when a `Display` does; what it wrote so far is logged.
                let _ = buffer.write_fmt(*record.args());
                &buffer
            }
        };
        let mut fields = Fields::default();
        // A value that fails to be written ends the list; what is there so far is logged.
        let _ = record.key_values().visit(&mut fields);
        let fields = fields.into_object();
        write(&LogRecord {
            level: record.level() as u8,
            line: record.line().unwrap_or(0),
            target: record.target().into(),
            file: record.file().unwrap_or("").into(),
            message: message.into(),
            fields: fields.as_str().into(),
            spans: RStr::default(),
        });
    }

    fn flush(&self) {}
}
