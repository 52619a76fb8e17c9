//! A loaded library with its workers.

pub(crate) mod error;
pub(crate) mod handle;
mod in_flight_count;
mod running;
pub(crate) mod shutdown;
