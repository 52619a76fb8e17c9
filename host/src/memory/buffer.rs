//! Buffers of the host's, and what releases any buffer.

use std::sync::Arc;

use atoll_protocol::abi::Buffer;

pub use atoll_port::buffer::{from_bytes, from_vec, list};

use crate::memory::heap::Heap;

/// A buffer that is a block of an app's heap, and holds the heap.
///
/// # Safety
/// `data` is a block that `heap` allocated, or the system's allocator, with `capacity` bytes at alignment 1, of which
/// `len` are initialised; the caller gives it up.
pub(crate) unsafe fn from_heap(heap: &Arc<Heap>, data: *mut u8, len: usize, capacity: usize) -> Buffer {
    unsafe extern "C" fn release(owner: *const u8, data: *mut u8, _: usize, capacity: usize) {
        // SAFETY: the owner is the count taken below, and the block is of its heap; both are given back once.
        unsafe {
            let heap = Arc::from_raw(owner.cast::<Heap>());
            heap.give_back(data, capacity);
        }
    }
    // SAFETY: by the caller's contract; the heap lives until `release`.
    unsafe { Buffer::from_raw_parts(data, len, capacity, Arc::into_raw(heap.clone()).cast(), release) }
}
