//! The limits that no setting changes, by name, as `atoll config show` prints them.

use std::time::Duration;

use crate::abi::panic_report;
use crate::app::services;
use crate::config::{self, MAX_APP_NAME};
use crate::dispatch::rpc;
use crate::fs::regular_file;
use crate::http::{self, connection, websocket_stream};
use crate::library::check;
use crate::observe::app_log;

/// All of them: times in milliseconds, sizes in bytes.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, u64)> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let others = [
        ("app_name", MAX_APP_NAME as u64),
        ("backtrace_libraries", panic_report::LIBRARIES as u64),
        ("backtrace_reads_per_second", panic_report::READS_PER_SECOND.get().into()),
        ("failure_lines_per_second", app_log::FAILURES_PER_SECOND.get().into()),
        ("find_library_timeout_ms", milliseconds(services::LOOK_LIMIT)),
        ("kept_faults", app_log::FAULTS as u64),
        ("kept_log_records", app_log::RECORDS as u64),
        ("kept_log_text", app_log::TEXT as u64),
        ("open_library_timeout_ms", milliseconds(check::OPEN_LIMIT)),
        ("panics_per_second", app_log::PANICS_PER_SECOND.get().into()),
        ("registry_file", config::FILE_LIMIT),
        ("request_header_bytes", http::limits::MAX_HEADER_BYTES as u64),
        ("request_headers", http::limits::MAX_HEADERS as u64),
        ("request_target", http::limits::MAX_TARGET as u64),
        ("rpc_batch", rpc::server::BATCH_LIMIT as u64),
        ("rpc_batch_results", rpc::server::BATCH_RESULTS_LIMIT as u64),
        ("small_file", regular_file::SMALL_FILE_LIMIT),
        ("websocket_control_frame", websocket_stream::MAX_CONTROL as u64),
    ];
    connection::limits::all().chain(others)
}
