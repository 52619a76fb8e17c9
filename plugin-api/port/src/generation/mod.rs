//! What serves an app's requests: a generation of it, whatever has loaded it.

mod error;
mod in_flight;
mod in_flight_count;
mod requests;
mod shutdown;
mod workers;

pub use self::error::{SaveError, StartError};
pub use self::in_flight::{Generation, InFlight};
pub use self::requests::Requests;
pub use self::shutdown::ShutdownSignal;
pub use self::workers::Workers;
