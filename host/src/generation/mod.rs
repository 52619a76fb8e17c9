//! A loaded library with its workers.

pub(crate) mod handle;
pub(crate) mod shutdown;
