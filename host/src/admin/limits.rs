//! The limits of a host that no setting of an app changes, by name, as `atoll config show` prints them.

use std::time::Duration;

use atoll_port::shared_memory;

use crate::abi::fault::{record, unwind};
use crate::abi::panic_report;
use crate::admin::stats::{HISTORY_LENGTH, HISTORY_STEP};
use crate::admin::tokens::MAX_TOKENS;
use crate::app::environment::{ENV_FILE_LIMIT, SECRET_LIMIT};
use crate::app::file_lookups;
use crate::child::denials::MAX_REPORTS;
use crate::config::{self, MAX_APP_NAME, MAX_LABEL, MAX_LABELS, MAX_SIGNERS};
use crate::deploy::{MAX_BESIDE, MAX_NOTE, UPLOAD_KEPT, UPLOAD_PIECE};
use crate::dispatch::exchange::pace;
use crate::dispatch::rpc;
use crate::fleet::{self, call_limits};
use crate::fs::{regular_file, spare_files};
use crate::http::{self, ServerLimits, connection, health, target, websocket_liveness, websocket_stream};
use crate::library::check;
use crate::library::needed::{BUILD_OUTPUT_LIMIT, NEEDED_LIBRARIES};
use crate::library::preflight::{KNOWN_LIBRARIES, PREFLIGHTS};
use crate::observe::logging::sink;
use crate::observe::{app_log, faults, usage};
use crate::process::control::{MAX_DESCRIPTORS, MESSAGE_LIMIT};
use crate::process::pool::{BLANKS, MAX_BLANKS};
use crate::registry::WARNING_PERCENT;

/// All of them: times in milliseconds, sizes in bytes.
pub(crate) fn all(server: &ServerLimits) -> impl Iterator<Item = (&'static str, u64)> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let others = [
        ("app_name", MAX_APP_NAME as u64),
        ("app_process_denials", MAX_REPORTS as u64),
        ("app_process_descriptors", MAX_DESCRIPTORS as u64),
        ("app_process_message", shared_memory::MAX_BYTES),
        ("app_process_report", MESSAGE_LIMIT as u64),
        ("app_process_ring", shared_memory::RING as u64),
        ("backtrace_libraries", panic_report::LIBRARIES as u64),
        ("backtrace_queue", panic_report::queue::QUEUED as u64),
        ("backtrace_reads_per_second", panic_report::READS_PER_SECOND.get().into()),
        ("body_min_rate", pace::MIN_RATE.into()),
        ("build_script_output", BUILD_OUTPUT_LIMIT),
        ("env_file", ENV_FILE_LIMIT),
        ("failure_lines_per_second", app_log::FAILURES_PER_SECOND.get().into()),
        ("fault_frames", unwind::FRAMES as u64),
        ("fault_mappings", record::MAPS as u64),
        ("fault_requests", record::REQUESTS as u64),
        ("find_library_timeout_ms", milliseconds(file_lookups::LOOKUP_LIMIT)),
        ("fleet_call_ask_again_ms", milliseconds(call_limits::TAKEN_LIMIT)),
        ("fleet_call_finish_ms", milliseconds(call_limits::FINISH_LIMIT)),
        ("fleet_call_hosts", call_limits::TRIES as u64),
        ("fleet_call_leave_ms", milliseconds(call_limits::LEAVE_DELAY)),
        ("fleet_call_message", call_limits::MAX_CALL_MESSAGE as u64),
        ("fleet_call_piece", call_limits::MAX_FRAME as u64),
        ("fleet_call_ping_interval_ms", milliseconds(call_limits::PING_INTERVAL)),
        ("fleet_call_ping_timeout_ms", milliseconds(call_limits::PEER_TIMEOUT)),
        ("fleet_call_taken_ms", milliseconds(call_limits::TAKEN_AFTER)),
        ("fleet_calls_waiting", call_limits::MAX_WAITING as u64),
        ("fleet_heartbeat_ms", milliseconds(fleet::HEARTBEAT)),
        ("fleet_history", fleet::MAX_HISTORY as u64),
        ("fleet_label", MAX_LABEL as u64),
        ("fleet_labels", MAX_LABELS as u64),
        ("fleet_lease_ms", milliseconds(fleet::LEASE_TTL)),
        ("fleet_lease_least_ms", milliseconds(fleet::LEAST_LEASE_TTL)),
        ("fleet_leave_ms", milliseconds(fleet::LEAVE_LIMIT)),
        ("fleet_presence_ms", milliseconds(fleet::PRESENCE_TTL)),
        ("fleet_library_ms", milliseconds(fleet::LIBRARY_WAIT)),
        ("fleet_piece_ms", milliseconds(fleet::PIECE_WAIT)),
        ("fleet_presence_pause_ms", milliseconds(fleet::ANNOUNCE_PAUSE)),
        ("fleet_reason", fleet::MAX_REASON as u64),
        ("fleet_reconnect_ms", milliseconds(fleet::LONGEST_PAUSE)),
        ("fleet_signers", MAX_SIGNERS as u64),
        ("fleet_state", fleet::STATE_LIMIT as u64),
        ("fleet_tasks", fleet::CONCURRENT_TASKS as u64),
        ("fleet_clock_ms", milliseconds(fleet::CLOCK_TOLERANCE)),
        ("fleet_unused_ms", milliseconds(fleet::UNUSED_AGE)),
        ("kept_host_faults", faults::KEPT as u64),
        ("kept_faults", app_log::FAULTS as u64),
        ("kept_log_records", app_log::RECORDS as u64),
        ("kept_log_text", app_log::TEXT as u64),
        ("log_queue", sink::MAX_QUEUED as u64),
        ("needed_libraries", NEEDED_LIBRARIES as u64),
        ("open_library_timeout_ms", milliseconds(check::OPEN_LIMIT)),
        ("preflights", PREFLIGHTS as u64),
        ("known_libraries", KNOWN_LIBRARIES as u64),
        ("panics_per_second", app_log::PANICS_PER_SECOND.get().into()),
        ("ready_apps", health::MAX_NAMED as u64),
        ("registry_file", config::FILE_LIMIT),
        ("request_headers", http::limits::MAX_HEADERS as u64),
        ("repeated_path", target::MAX_SHOWN as u64),
        ("request_target", http::limits::MAX_TARGET as u64),
        ("quota_warning_percent", WARNING_PERCENT),
        ("rpc_batch", rpc::server::BATCH_LIMIT as u64),
        ("rpc_batch_results", rpc::server::BATCH_RESULTS_LIMIT as u64),
        ("secret", SECRET_LIMIT),
        ("small_file", regular_file::SMALL_FILE_LIMIT),
        ("spare_files", spare_files::SPARE_FILES as u64),
        ("stats_history_ms", milliseconds(HISTORY_LENGTH)),
        ("stats_history_step_ms", milliseconds(HISTORY_STEP)),
        ("tokens", MAX_TOKENS as u64),
        ("upload_kept_ms", milliseconds(UPLOAD_KEPT)),
        ("upload_piece", UPLOAD_PIECE as u64),
        ("usage_hours", usage::KEPT_HOURS as u64),
        ("usage_libraries", usage::LIBRARIES as u64),
        ("usage_rows", usage::KEPT_ROWS as u64),
        ("usage_write_interval_ms", milliseconds(usage::WRITE_INTERVAL)),
        ("version_note", MAX_NOTE as u64),
        ("versions_beside", MAX_BESIDE as u64),
        ("waiting_app_processes", MAX_BLANKS as u64),
        ("waiting_app_processes_of_a_kind", BLANKS as u64),
        ("websocket_control_frame", websocket_stream::MAX_CONTROL as u64),
        ("websocket_ping_interval_ms", milliseconds(websocket_liveness::PING_INTERVAL)),
        ("websocket_pong_timeout_ms", milliseconds(websocket_liveness::PONG_TIMEOUT)),
    ];
    server.all().into_iter().chain(connection::limits::all()).chain(others)
}
