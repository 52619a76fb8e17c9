//! Listeners, TLS, and hosts as a part of other programs.

pub(crate) mod host;
pub(crate) mod host_lock;
pub mod http_server;
pub mod service_manager;
#[cfg(feature = "standalone")]
pub mod standalone;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
