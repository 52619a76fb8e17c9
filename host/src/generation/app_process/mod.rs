//! A generation in a separate process, as its host has it.

mod clock;
mod control_group;
mod error;
mod handle;
mod monitor;
mod start;

pub(crate) use self::error::ProcessError;
pub(crate) use self::handle::AppProcess;
pub(crate) use self::monitor::ProcessEvents;
pub(crate) use self::start::ProcessPlan;
