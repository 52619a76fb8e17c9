//! A loaded library with its workers.

pub(crate) mod error;
pub(crate) mod handle;
mod running;
