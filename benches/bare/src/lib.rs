//! What Atoll is compared with: the same handlers in servers of their own.

mod bare;
#[path = "../../apps/streams/src/message.rs"]
mod message;
#[path = "../../apps/axum/src/router.rs"]
mod router;

pub use bare::bare_server;
pub use message::message;
pub use router::router;
