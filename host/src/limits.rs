//! The limits that no setting changes, by name, as `atoll config show` prints them.

use crate::config::MAX_APP_NAME;
use crate::{connection, http, journal, panic_report, rpc, websocket};

/// All of them: times in milliseconds, sizes in bytes.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, u64)> {
    let others = [
        ("app_name", MAX_APP_NAME as u64),
        ("backtrace_libraries", panic_report::LIBRARIES as u64),
        ("backtrace_reads_per_second", panic_report::READS_PER_SECOND.get().into()),
        ("failure_lines_per_second", journal::FAILURES_PER_SECOND.get().into()),
        ("kept_faults", journal::FAULTS as u64),
        ("kept_log_records", journal::RECORDS as u64),
        ("kept_log_text", journal::TEXT as u64),
        ("panics_per_second", journal::PANICS_PER_SECOND.get().into()),
        ("request_header_bytes", http::limits::MAX_HEADER_BYTES as u64),
        ("request_headers", http::limits::MAX_HEADERS as u64),
        ("request_target", http::limits::MAX_TARGET as u64),
        ("rpc_batch", rpc::server::BATCH_LIMIT as u64),
        ("rpc_batch_results", rpc::server::BATCH_RESULTS_LIMIT as u64),
        ("websocket_control_frame", websocket::MAX_CONTROL as u64),
    ];
    connection::limits::all().chain(others)
}
