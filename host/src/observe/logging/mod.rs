//! The host's log, and the records that apps send to it.

mod app_pairs;
mod escaping;
mod json;
mod short;
pub(crate) mod sink;

use std::sync::OnceLock;
use std::time::Duration;

use abi_stable::std_types::RStr;
use atoll_plugin::abi::LogRecord;
use clap::ValueEnum;
use env_logger::{Builder, Env, Logger, Target, WriteStyle};
use log::{Level, LevelFilter, Log, Metadata, Record};

use self::app_pairs::AppPairs;
use self::escaping::Escaping;
use self::sink::Sink;
use crate::observe::app_log::AppLog;
use crate::observe::text;

/// Excludes the HTTP server's records about its threads, which do not help operators, those of the NATS client, whose errors the
/// host reports, and those about bad requests, which would let any client fill the log with errors.
const SERVER: &str = "info,actix_server=warn,actix_http=off,async_nats=off";

/// In development, builds and reloads are said otherwise.
const DEVELOPMENT: &str = "info,actix_server=warn,actix_http=off,atoll_host::app::supervisor::effects=warn,atoll_host::generation=warn";

/// The most bytes of a record's target.
const TARGET: usize = 256;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Human-readable text, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Writes the records of apps with a separate level, which `RUST_LOG` may exclude.
static UNFILTERED: OnceLock<Box<dyn Log>> = OnceLock::new();

/// How long a process that ends waits for standard error to take the rest of the log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The log of a server, which waits for no reader of standard error.
static SINK: OnceLock<Sink> = OnceLock::new();

/// Starts a server's log on standard error: `info` and above, unless `RUST_LOG` is set. Where what reads standard
/// error is slow, the log waits in a queue with a limit: see [`finish`].
pub fn init(format: Format) {
    start_sink();
    init_with(SERVER, format);
}

/// Starts the log on standard error: this level and above, unless `RUST_LOG` is set.
pub fn init_at(level: LevelFilter) {
    // A command reports the errors of the NATS client by itself.
    init_with(&format!("{level},async_nats=off"), Format::Text);
}

/// Starts the log on standard error as those want it who look at it while they write apps: in short lines, of what
/// `RUST_LOG` says, or else of what is worth a look.
pub fn init_for_development(format: Format) {
    start_sink();
    start(DEVELOPMENT, format, true);
}

/// Starts the log on standard error with this filter, unless `RUST_LOG` is set.
pub(crate) fn init_with(filter: &str, format: Format) {
    start(filter, format, false);
}

/// Waits until standard error has taken the log, at most for a second: for a process that is about to end.
pub fn finish() {
    if let Some(sink) = SINK.get() {
        sink.drain(LAST_WORDS);
    }
}

/// Has the log that is started next use a queue. Where there is no thread for it, the log does without.
fn start_sink() {
    if let Ok(sink) = Sink::start() {
        // A second log of the process is none.
        let _ = SINK.set(sink);
    }
}

/// The style in which standard error is written, unless the environment says it.
fn style() -> Option<WriteStyle> {
    let is_explicit = std::env::var(env_logger::DEFAULT_WRITE_STYLE_ENV).is_ok_and(|style| style != "auto");
    (!is_explicit).then(|| match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => WriteStyle::Never,
        _ => WriteStyle::Always,
    })
}

fn start(filter: &str, format: Format, short: bool) {
    let builder = |env| {
        let mut builder = Builder::from_env(env);
        if let Some(sink) = SINK.get() {
            builder.target(Target::Pipe(Box::new(sink.clone())));
            // The logger does not know where it ends.
            style().map(|style| builder.write_style(style));
        }
        match format {
            Format::Text if short => builder.format(short::write),
            Format::Text => builder.format_timestamp_millis(),
            Format::Json => builder.format(json::write),
        };
        builder
    };
    // JSON has its own way to write what is not shown as it is.
    let safe = |logger: Logger| -> Box<dyn Log> {
        match format {
            Format::Text => Box::new(Escaping(logger)),
            Format::Json => Box::new(logger),
        }
    };
    let logger = builder(Env::default().default_filter_or(filter)).build();
    let level = logger.filter();
    // A test that has its own logger keeps it.
    if log::set_boxed_logger(safe(logger)).is_ok() {
        log::set_max_level(level);
        let style = Env::new().filter("");
        UNFILTERED.get_or_init(|| safe(builder(style).filter_level(LevelFilter::Trace).build()));
    }
}

fn level(number: u8) -> Level {
    Level::iter().nth(usize::from(number).saturating_sub(1)).unwrap_or(Level::Trace)
}

/// The maximum level of an app's records, as sent to the app: 0 (off) to 5 (trace).
pub(crate) fn max_level(own: Option<LevelFilter>) -> u8 {
    own.unwrap_or_else(log::max_level) as u8
}

/// Whether a record of an app's with this level (1 to 5) and target would be written.
pub(crate) fn enabled(app_log: &AppLog, number: u8, target: &str) -> bool {
    match app_log.level() {
        Some(own) => level(number) <= own,
        None => {
            let metadata = Metadata::builder().level(level(number)).target(target).build();
            metadata.level() <= log::max_level() && log::logger().enabled(&metadata)
        }
    }
}

/// Writes an app's record, with the app's name and generation, and keeps it in the app's app log.
pub(crate) fn write(app: &str, generation: u64, app_log: &AppLog, record: &LogRecord<'_>) {
    let message = &*app_log.shortened(RStr::as_str(&record.message));
    let (level, target) = (level(record.level), record.target.as_str());
    // A target is a module's path, and no text.
    let target = text::start(target, TARGET);
    let fields = app_log.fields(&record.fields, &record.spans);
    if !app_log.write(level, target, generation, message, &fields) {
        return;
    }
    let pairs = AppPairs::new(app, generation, &fields);
    let file = record.file.as_str();
    let logger = match (app_log.level(), UNFILTERED.get()) {
        (Some(_), Some(unfiltered)) => &**unfiltered,
        _ => log::logger(),
    };
    logger.log(
        &Record::builder()
            .args(format_args!("{message}"))
            .level(level)
            .target(target)
            .module_path(Some(target))
            .file((!file.is_empty()).then_some(file))
            .line((record.line != 0).then_some(record.line))
            .key_values(&pairs)
            .build(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_as_numbers() {
        assert_eq!(max_level(Some(LevelFilter::Off)), 0);
        assert_eq!(max_level(Some(LevelFilter::Trace)), 5);
        for filter in Level::iter() {
            assert_eq!(level(filter as u8), filter);
        }
    }
}
