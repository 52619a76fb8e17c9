//! What is reported of apps and requests: logs, events, history, metrics, traces, usage.

pub mod app_log;
pub(crate) mod app_warnings;
pub(crate) mod certificates;
pub(crate) mod console_line;
pub(crate) mod entries;
pub(crate) mod error_chain;
pub mod escape;
pub mod events;
pub(crate) mod exit_status;
pub(crate) mod faults;
pub(crate) mod fields;
pub(crate) mod history;
pub mod logging;
pub(crate) mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub(crate) mod text;
pub(crate) mod throttle;
pub(crate) mod timing;
pub mod trace;
pub(crate) mod unix_time;
pub(crate) mod usage;
pub(crate) mod version_name;
pub(crate) mod window;
