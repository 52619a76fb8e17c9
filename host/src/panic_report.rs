//! Panics of apps, in the host's log.
//!
//! An app sends addresses only. They are resolved here, in the host's copy of the symboliser: one in each app would
//! keep each library's debug information in memory.

use std::fmt::Write;

use atoll_plugin::abi::{LogRecord, PanicReport};

use crate::context::LibraryContext;
use crate::logging;

/// Logs an app's panic with its backtrace, unless `RUST_BACKTRACE` is `0`.
pub(crate) fn write(context: &LibraryContext, report: &PanicReport<'_>, frames: &[usize]) {
    let mut text =
        format!("panicked at {}:{}:{}: {}", report.file, report.line, report.column, report.message);
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value != "0") {
        for frame in app_frames(frames) {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {}\n      at {}:{}", frame.name, frame.file, frame.line);
        }
    }
    let target = context.app().as_ref();
    logging::write(
        context,
        &LogRecord {
            level: log::Level::Error as u8,
            line: report.line,
            target: target.into(),
            file: report.file,
            message: text.as_str().into(),
        },
    );
}

struct Frame {
    name: String,
    file: String,
    line: u32,
}

/// The frames between the panic machinery and the worker's loop.
fn app_frames(addresses: &[usize]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for &address in addresses {
        // A return address is behind its call; one byte before it is inside.
        let inside = address.saturating_sub(1) as *mut std::ffi::c_void;
        backtrace::resolve(inside, |symbol| {
            let (Some(name), Some(file)) = (symbol.name(), symbol.filename()) else { return };
            frames.push(Frame {
                name: format!("{name:#}"),
                file: file.display().to_string(),
                line: symbol.lineno().unwrap_or(0),
            });
        });
    }
    // The symboliser keeps the files that it has read mapped, also when their library is gone.
    backtrace::clear_symbol_cache();

    let last = frames.iter().position(|frame| frame.name.starts_with("atoll_plugin::panic::catch"));
    frames.truncate(last.unwrap_or(frames.len()));
    let machinery =
        ["std::panicking", "core::panicking", "atoll_plugin::panic", "__rustc", "rust_begin_unwind"];
    let first = frames
        .iter()
        .rposition(|frame| machinery.iter().any(|prefix| frame.name.starts_with(prefix)))
        .map_or(0, |last_of_machinery| last_of_machinery + 1);
    frames.split_off(first.min(frames.len()))
}
