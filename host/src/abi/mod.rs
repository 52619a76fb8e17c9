//! What an app's library reaches in the host: its vtable, and all that is recorded for its generation. Most of the
//! `unsafe` code is here.

pub(crate) mod abort;
pub(crate) mod arguments;
pub(crate) mod behind;
pub(crate) mod cpu_clock;
pub(crate) mod current;
pub(crate) mod denials;
pub(crate) mod descriptors;
pub mod exports;
pub(crate) mod fault;
pub(crate) mod forks;
pub(crate) mod library_context;
pub(crate) mod panic_report;
pub(crate) mod queued_reports;
pub(crate) mod reports;
pub(crate) mod signals;
pub(crate) mod thread_clocks;
pub(crate) mod thread_end;
pub(crate) mod thread_stop;
pub(crate) mod threads;
pub(crate) mod vtable;
