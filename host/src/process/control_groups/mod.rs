//! Control groups (cgroup v2), which limit what the processes of an app use together: memory, threads, processors.
//!
//! The kernel's documentation, [Control Group v2](https://docs.kernel.org/admin-guide/cgroup-v2.html), describes the files.

mod delegated;
mod error;
mod group;

pub use self::delegated::limits_by_control_group;
pub(crate) use self::delegated::{Controller, Delegated};
pub(crate) use self::error::ControlGroupError;
pub(crate) use self::group::ControlGroup;
