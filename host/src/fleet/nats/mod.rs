//! What a fleet keeps in NATS: a key-value bucket with a [`Record`](super::Record) for each app, one with a
//! [`Presence`](super::Presence) for each host, and an object store with libraries.

mod bus;
mod connection;
mod error;
mod hosts;
mod libraries;
mod records;

pub(crate) use self::bus::{Bus, Messages, Received};
pub use self::connection::Fleet;
pub use self::error::FleetError;
pub use self::records::Seen;
