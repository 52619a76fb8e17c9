//! The transport to a worker in an app process: two rings in memory that both processes have mapped, each written by one of
//! them only.
//!
//! Neither trusts what the other can still change: counts are checked when they are read, and a message is copied before it
//! is looked at. See [`ProcessLink`] for the host's side and [`HostLink`] for that of the app process.

mod bell;
mod clock;
mod frame;
mod heap_use;
mod host_end;
pub(crate) mod lanes;
mod layout;
mod memory;
mod ring;
mod running;
mod subject;
#[cfg(test)]
mod tests;
mod worker_end;

pub use self::frame::{FrameError, MAX_BYTES};
pub use self::heap_use::{HeapUse, HeapUseWriter};
pub use self::host_end::ProcessLink;
pub use self::lanes::{HostLanes, lane_descriptors};
pub use self::layout::RING;
pub use self::memory::SharedMemory;
pub use self::running::RunningRequests;
pub use self::worker_end::{HostLink, ProcessPort};
