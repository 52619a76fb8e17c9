//! How long a request waited and was worked on.

pub use atoll_port::RequestTiming;
pub(crate) use atoll_port::Taken;
