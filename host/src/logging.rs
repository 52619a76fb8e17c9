//! The host's log, and the records that apps send to it.

use abi_stable::std_types::RStr;
use atoll_plugin::abi::LogRecord;
use log::kv::Value;
use log::{Level, LevelFilter, Metadata, Record};

use crate::context::LibraryContext;

/// Starts the log on standard error: `info` and above, unless `RUST_LOG` says otherwise.
pub fn init() {
    // What the HTTP server has to say of its own threads is of no use to those who run apps, and what it says of bad
    // requests would let any client fill the log with errors.
    init_with("info,actix_server=warn,actix_http=off");
}

/// Starts the log on standard error: what is of this level and above, unless `RUST_LOG` says otherwise.
pub fn init_at(level: LevelFilter) {
    init_with(level.as_str());
}

/// Starts the log on standard error with this filter, unless `RUST_LOG` says otherwise.
pub(crate) fn init_with(filter: &'static str) {
    let env = env_logger::Env::default().default_filter_or(filter);
    // A test that has its own logger keeps it.
    let _ = env_logger::Builder::from_env(env).format_timestamp_millis().try_init();
}

fn level(number: u8) -> Level {
    Level::iter().nth(usize::from(number).saturating_sub(1)).unwrap_or(Level::Trace)
}

/// The maximum level as an app is told it: 0 (off) to 5 (trace).
pub(crate) fn max_level() -> u8 {
    LevelFilter::iter().position(|filter| filter == log::max_level()).unwrap_or(0) as u8
}

/// Whether a record of an app's with this level (1 to 5) and target would be written.
pub(crate) fn enabled(number: u8, target: &str) -> bool {
    let metadata = Metadata::builder().level(level(number)).target(target).build();
    metadata.level() <= log::max_level() && log::logger().enabled(&metadata)
}

/// Writes an app's record, with the app's name and generation.
pub(crate) fn write(context: &LibraryContext, record: &LogRecord<'_>) {
    let identity =
        [("app", Value::from(&**context.app())), ("generation", Value::from(context.generation()))];
    let file = record.file.as_str();
    log::logger().log(
        &Record::builder()
            .args(format_args!("{}", RStr::as_str(&record.message)))
            .level(level(record.level))
            .target(record.target.as_str())
            .module_path(Some(record.target.as_str()))
            .file((!file.is_empty()).then_some(file))
            .line((record.line != 0).then_some(record.line))
            .key_values(&identity)
            .build(),
    );
}
