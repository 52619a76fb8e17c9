//! The commands for a fleet: `atoll deploy`, `apply` and `remove`, and `--fleet` of others.

#[cfg(feature = "fleet")]
pub(super) mod apply;
#[cfg(feature = "fleet")]
mod arguments;
#[cfg(feature = "fleet")]
pub(super) mod change;
#[cfg(feature = "fleet")]
pub(super) mod deploy;
#[cfg(feature = "fleet")]
mod observer;
#[cfg(feature = "fleet")]
mod release;
#[cfg(feature = "fleet")]
mod rollout;
pub(super) mod show;
#[cfg(feature = "fleet")]
mod signing;
