//! What a fleet keeps in NATS: a key-value bucket with a [`Record`](super::Record) for each app, one with a
//! [`Presence`](super::Presence) for each host, one with an [`AppPresence`](super::AppPresence) for each app on each host, one with the
//! leases of apps that run on one host, and object stores with libraries and with the states of apps that change their host.

mod apps_on_hosts;
mod bus;
mod connection;
mod credentials;
mod error;
mod hosts;
mod leases;
mod libraries;
mod object_reader;
mod records;
mod states;
mod unused;

pub use self::apps_on_hosts::AppOnHost;
pub(crate) use self::bus::{Bus, Messages, Received};
pub use self::connection::Fleet;
pub use self::error::FleetError;
pub(crate) use self::leases::Taken;
pub use self::records::Seen;
pub(crate) use self::states::SavedState;
