//! The limits of fleets.

use std::time::Duration;

/// How long a presence counts after the host has last sent it.
pub const PRESENCE_TTL: Duration = Duration::from_secs(20);

/// How often a host sends its presence when nothing changes.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// The shortest time between two presences that a host sends.
pub(crate) const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

/// How many earlier versions the record of an app has, to go back to.
pub const MAX_HISTORY: usize = 8;

/// How many apps a host fetches, starts or removes at a time, when the fleet changes them.
pub(crate) const CONCURRENT_TASKS: usize = 4;

/// How many bytes of the reason why a host refuses a version are in its presence.
pub(crate) const MAX_REASON: usize = 1000;

/// How long a host waits before it connects to NATS again for the first time. Each further time it waits twice as long.
#[cfg(feature = "fleet")]
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest time that a host waits before it connects to NATS again.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(15);
