//! Calls of apps that other hosts of the fleet have: what goes over NATS, and what the host that asks does with it.
//!
//! The host that asks chooses one of those that have the app, by their presences. What the two send each other goes from
//! [instance](Instance) to instance: [messages](Message) of the port's protocol, in [frames](Frame) that are numbered. Nothing here
//! knows a connection: [`Requests`] and [`Peers`] decide, and what has the connection carries it out.

mod assembly;
mod context;
mod frame;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod peers;
mod problem;
mod requests;
mod subjects;
mod transport;
mod writer;

pub(crate) use self::assembly::{Assembly, Message};
pub(crate) use self::context::Context;
pub(crate) use self::frame::{ExchangeId, Frame, Instance, Kind};
#[cfg(feature = "fuzzing")]
pub(crate) use self::fuzzing::check_frames;
pub(crate) use self::peers::Peers;
pub(crate) use self::problem::write_problem;
pub(crate) use self::requests::{Asking, Effect, Requests};
pub(crate) use self::subjects::{Reply, Subjects};
pub(crate) use self::transport::{Sent, ToFleet};
pub(crate) use self::writer::{FrameWriter, Parts, TooLarge};
