//! One app over all its generations: the handle, the supervisor, and the lifecycle that decides.

pub(crate) mod command;
pub mod environment;
pub(crate) mod file_lookups;
pub(crate) mod handle;
pub(crate) mod hang_watch;
pub(crate) mod heap_watch;
pub(crate) mod idle;
pub(crate) mod lease;
pub(crate) mod libraries;
pub mod lifecycle;
pub(crate) mod live_generation;
pub(crate) mod moved;
pub(crate) mod pins;
pub(crate) mod prepare;
pub(crate) mod quota;
pub(crate) mod rate_limit;
pub(crate) mod resources;
pub(crate) mod saved_state;
pub(crate) mod startup;
pub(crate) mod supervisor;
pub(crate) mod teardown;
pub(crate) mod traffic;
pub(crate) mod unavailable;
