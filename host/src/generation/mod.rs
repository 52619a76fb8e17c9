//! A loaded library with its workers.

pub(crate) mod handle;
mod running;
pub(crate) mod worker_threads;
