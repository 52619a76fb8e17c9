//! What serves an app's requests: a generation of it, whatever has loaded it.

mod in_flight;
mod in_flight_count;
mod requests;
mod shutdown;

pub use self::in_flight::{Generation, InFlight};
pub use self::requests::Requests;
pub use self::shutdown::ShutdownSignal;
