//! What each app uses: time, memory, requests and bytes, by app and library, in totals that survive the host.
//!
//! A [`Meter`] belongs to each app. It takes no part in requests: it reads the counters that they leave in the app's
//! [metrics](crate::observe::metrics), the clocks of the app's threads or process, and its heap. A thread, the
//! [`Recorder`], reads all meters each second, adds what they found to a [`Ledger`](ledger::Ledger) and writes that to a
//! [`Store`](store::Store). Reports are of what was written: the totals that they show never go down, however the host ends.

mod amounts;
mod ledger;
mod meter;
mod past;
mod recorder;
mod report;
mod rows;
mod shared;
mod store;

pub use self::report::{UsageEntry, UsageReport};
pub use self::store::{UsageError, folder_of, read};

pub(crate) use self::amounts::Amounts;
pub(crate) use self::ledger::Ledger;
pub(crate) use self::meter::{Meter, Metering, Source};
pub(crate) use self::past::{KEPT_HOURS, KEPT_ROWS};
pub(crate) use self::recorder::{Recorder, WRITE_INTERVAL};
pub(crate) use self::rows::LIBRARIES;
pub(crate) use self::shared::Usage;

#[cfg(test)]
mod tests;
