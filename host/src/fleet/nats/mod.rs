//! What a fleet keeps in NATS: a key-value bucket with a [`Record`](super::Record) for each app, one with a
//! [`Presence`](super::Presence) for each host, one with an [`AppPresence`](super::AppPresence) for each app on each host, and an object
//! store with libraries.

mod apps_on_hosts;
mod connection;
mod credentials;
mod error;
mod hosts;
mod libraries;
mod records;
mod unused;

pub use self::connection::Fleet;
pub use self::error::FleetError;
pub use self::records::Seen;
