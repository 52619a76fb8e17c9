//! A host in a fleet: it carries out what the records of apps ask for, reports itself, and shows the fleet.

#[cfg(feature = "fleet")]
mod agent;
#[cfg(feature = "fleet")]
mod announced;
pub(super) mod api;
#[cfg(feature = "fleet")]
mod calls;
#[cfg(feature = "fleet")]
mod candidacy;
#[cfg(feature = "fleet")]
mod lease_book;
#[cfg(feature = "fleet")]
mod leases;
#[cfg(feature = "fleet")]
mod report;
#[cfg(feature = "fleet")]
mod running;
#[cfg(feature = "fleet")]
mod take_up;
#[cfg(feature = "fleet")]
mod work;

#[cfg(feature = "fleet")]
pub(super) use self::running::RunningAgent;
