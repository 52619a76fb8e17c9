//! The host's end of a worker's port: pending requests, the reply queue, wake-ups.

pub mod answer;
pub(crate) mod arrivals;
pub(crate) mod call_context;
pub(crate) mod call_sink;
pub(crate) mod doorbell;
pub(crate) mod flow_control;
pub(crate) mod forked;
pub mod host_end;
pub(crate) mod outgoing_calls;
pub(crate) mod reply_queue;
pub(crate) mod sync;
pub(crate) mod worker_message;
