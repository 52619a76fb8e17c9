//! The host's HTTP side: `/apps/{name}/…` to the apps, and the health checks.

mod about;
mod asked;
pub(crate) mod authority;
mod body;
pub(crate) mod connection;
mod cors;
mod dots;
mod failure;
mod forwarded;
mod head;
pub(crate) mod health;
mod hop;
pub(crate) mod limits;
mod live;
mod mount;
mod peer;
mod pipe;
mod request_id;
mod request_log;
mod rewrite;
mod rpc;
mod serve;
mod settings;
pub(crate) mod sse;
mod streamed;
pub(crate) mod target;
mod trace;
mod trailers;
mod trusted_proxies;
mod upgrade;
mod websocket;
pub(crate) mod websocket_liveness;
pub(crate) mod websocket_stream;

pub use self::live::{LivePages, configure_live};
pub use self::mount::Mount;
pub(crate) use self::request_id::RequestId;
pub use self::serve::configure;
pub use self::settings::HttpSettings;
#[cfg(feature = "fuzzing")]
pub(crate) use self::target::check_target;
pub use self::trusted_proxies::TrustedProxies;
