//! A running host is replaced by another process without closing its listeners.
//!
//! The new host connects to a Unix socket of the running one (`Predecessor`), and receives descriptors of all that only one
//! host of a registry file has: its lock, control socket and listeners. It starts its apps, accepts connections on the same
//! sockets, and reports that it serves. Then the running host (`Ownership::successor`) gives up what it has, stops accepting,
//! and finishes its connections. Until that report nothing has changed for it: if the new host ends before, the running one
//! continues.

mod error;
mod inherited;
mod messages;
mod ownership;
mod predecessor;
mod successor;

pub use self::error::TakeoverError;
pub use self::inherited::InheritedSockets;
pub(super) use self::messages::Handed;
pub use self::messages::Role;
pub(super) use self::ownership::{Ownership, Recording, Waiting};
pub use self::predecessor::Predecessor;
pub(super) use self::successor::Successor;
