//! The limits of fleets.

use std::time::Duration;

/// How long a presence counts after the host has last sent it.
pub const PRESENCE_TTL: Duration = Duration::from_secs(20);

/// How often a host sends its presence when nothing changes.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The shortest time between two presences that a host sends, except soon after a record has changed.
pub(crate) const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

/// How many earlier versions the record of an app has, to go back to.
pub const MAX_HISTORY: usize = 8;

/// How long a library that no version needs any more, and a chunk of an interrupted upload, stay in the object store.
pub const UNUSED_AGE: Duration = Duration::from_secs(24 * 3600);

/// How many apps a host fetches, starts or removes at a time, when the fleet changes them.
pub(crate) const CONCURRENT_TASKS: usize = 4;

/// How many apps a host writes into its report at a time.
#[cfg(feature = "fleet")]
pub(crate) const CONCURRENT_WRITES: usize = 64;

/// Of how many hosts a command reads the reports at a time.
#[cfg(feature = "fleet")]
pub(crate) const CONCURRENT_READS: usize = 32;

/// How many chunks of a library are sent before the NATS server has confirmed the first of them.
#[cfg(feature = "fleet")]
pub(crate) const UPLOAD_WINDOW: usize = 16;

/// How long a host waits for a library that is not in the object store, before it refuses the version.
pub(crate) const LIBRARY_WAIT: Duration = Duration::from_secs(3);

/// How long a host waits for the next piece of a library, of a state, or of the reports of all hosts, from NATS. Then it looks whether
/// all pieces are there.
pub(crate) const PIECE_WAIT: Duration = Duration::from_secs(10);

/// By how much the clocks of two hosts may differ without a hint.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// How many bytes of the reason why a host refuses a version are in its presence.
pub(crate) const MAX_REASON: usize = 1000;

/// How long a host waits before it connects to NATS again for the first time. Each further time it waits twice as long.
#[cfg(feature = "fleet")]
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest time that a host waits before it connects to NATS again.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long the lease of an app lasts that its host does not renew, unless its bucket was created with another time to live.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(15);

/// The shortest time to live of leases with which a host takes any.
pub(crate) const LEAST_LEASE_TTL: Duration = Duration::from_secs(1);

/// How many parts the time to live of a lease has: a host renews it after the first, and stops the app in the last.
#[cfg(feature = "fleet")]
pub(crate) const THIRDS: u32 = 3;

/// How often a host tries to write a lease in a third of its time to live.
#[cfg(feature = "fleet")]
pub(crate) const LEASE_TRIES: u32 = 4;

/// How many bytes of JSON the state of an app may have that is handed over to another host.
pub(crate) const STATE_LIMIT: usize = 64 << 20;

/// Hosts that may take a lease wait for up to this part of its time to live, so that not all try at once.
#[cfg(feature = "fleet")]
pub(crate) const LEASE_SPREAD: u32 = 60;

/// How long an app may take to stop whose lease has run out before its host noticed it: as after the host was suspended.
#[cfg(feature = "fleet")]
pub(crate) const LATE_STOP: Duration = Duration::from_millis(500);

/// How long a host that stops may take to hand over the apps whose leases it has.
pub(crate) const LEAVE_LIMIT: Duration = Duration::from_secs(30);
