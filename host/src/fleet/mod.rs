//! Several hosts that share apps through NATS.
//!
//! What is stored there, and what follows from it, is decided by functions of values: what a [host](task) does when it sees a
//! [`Record`] or the [lease](lease) of an app, and what the [command](waves) that rolls a version out does next when it sees the
//! [presences](Presence) of hosts.
//! [`nats`] is what reads and writes them.

pub(crate) mod call_limits;
#[cfg(feature = "fleet")]
pub(crate) mod calls;
mod clocks;
#[cfg(feature = "fleet")]
mod elsewhere;
mod key_file;
#[cfg(feature = "fleet")]
mod keys;
#[cfg(feature = "fleet")]
mod lease;
mod limits;
mod members;
mod membership;
#[cfg(feature = "fleet")]
pub mod nats;
mod presence;
mod record;
mod settled;
mod status;
mod summary;
#[cfg(feature = "fleet")]
mod task;
#[cfg(feature = "fleet")]
mod trust;
mod unfinished_calls;
#[cfg(feature = "fleet")]
mod unused;
#[cfg(feature = "fleet")]
mod waves;

#[cfg(feature = "fleet")]
pub(crate) use self::elsewhere::AppElsewhere;
pub use self::key_file::KeyFileError;
#[cfg(feature = "fleet")]
pub(crate) use self::lease::{Lease, LeaseStep, LeaseView, lease_step, retry, right};
pub(crate) use self::limits::{ANNOUNCE_PAUSE, CONCURRENT_TASKS, LONGEST_PAUSE, MAX_REASON};
pub use self::limits::{CLOCK_TOLERANCE, HEARTBEAT, MAX_HISTORY, PRESENCE_TTL, UNUSED_AGE};
#[cfg(feature = "fleet")]
pub(crate) use self::limits::{FIRST_PAUSE, LATE_STOP, LEASE_SPREAD, THIRDS};
pub(crate) use self::limits::{LEASE_TTL, LEAST_LEASE_TTL, LEAVE_LIMIT, STATE_LIMIT};
pub(crate) use self::limits::{LIBRARY_WAIT, PIECE_WAIT};
#[cfg(feature = "fleet")]
pub(crate) use self::members::HostApps;
pub use self::members::Members;
pub(crate) use self::membership::Membership;
#[cfg(feature = "fleet")]
pub(crate) use self::membership::Part;
pub use self::presence::{AppPresence, Presence, RefusedVersion};
pub use self::record::{
    Failure, Labels, NoRelease, Record, Release, ReleaseSignature, Removal, Target, UnderWay, Wanted, Wave,
};
pub use self::settled::{Settled, settled};
pub use self::status::{FleetApp, FleetAppHost, FleetHost, FleetStatus, Holder};
pub(crate) use self::summary::FleetSummary;
#[cfg(feature = "fleet")]
pub(crate) use self::task::{Local, Task, task};
#[cfg(feature = "fleet")]
pub use self::trust::{ReleaseKey, Signers, Unsignable, Untrusted};
#[cfg(feature = "fleet")]
pub(crate) use self::unfinished_calls::UnfinishedCall;
#[cfg(feature = "fleet")]
pub use self::waves::{Progress, Step, Strategy, Waiting, first_wave, hosts_of, next};
