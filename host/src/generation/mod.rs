//! A loaded library with its workers.

pub(crate) mod app_process;
pub(crate) mod handle;
pub(crate) mod runner;
mod running;
pub(crate) mod worker_threads;
pub mod working_directory;
