//! Listeners, and hosts as a part of other programs.

pub(crate) mod address;
pub(crate) mod banner;
pub(crate) mod child;
pub(crate) mod config_file;
mod fault_recorder;
pub(crate) mod host;
pub(crate) mod host_builder;
pub mod http_server;
pub mod listeners;
pub mod open_files;
pub(crate) mod own_server;
pub mod service_manager;
pub mod signals;
#[cfg(feature = "standalone")]
pub mod standalone;
mod stopping;
pub mod takeover;
#[cfg(feature = "testing")]
pub mod testing;
