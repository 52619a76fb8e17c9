//! The heap of a generation, and the buffers that cross the boundary.

pub(crate) mod allocator;
pub mod buffer;
pub(crate) mod heap;
