//! The allocator of an app: its generation's heap in the host.
//!
//! All that the library allocates goes away with the heap when the library is unloaded, also what it leaked.
//! What is allocated before the library is bound comes from the system's allocator; the host tells the two apart.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::abi::link;

/// Allocates from the generation's heap. `export_app!` makes it the library's global allocator.
#[derive(Debug)]
pub struct HostAllocator;

// SAFETY: the host's heap functions keep the contract of `GlobalAlloc`, as `System` does; a block of either may be
// freed or grown through the host.
unsafe impl GlobalAlloc for HostAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match link::get() {
            // SAFETY: the layout is valid by the caller's contract.
            Some(link) => unsafe { link.host.heap_alloc()(link.generation, layout.size(), layout.align()) },
            // SAFETY: as above.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match link::get() {
            // SAFETY: the layout is valid by the caller's contract.
            Some(link) => unsafe {
                link.host.heap_alloc_zeroed()(link.generation, layout.size(), layout.align())
            },
            // SAFETY: as above.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match link::get() {
            // SAFETY: the block is of the heap or of `System`, by the caller's contract.
            Some(link) => unsafe { link.host.heap_free()(link.generation, block, layout.size()) },
            // SAFETY: before the library is bound all blocks are `System`'s.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        match link::get() {
            // SAFETY: as for `dealloc`.
            Some(link) => unsafe {
                link.host.heap_realloc()(link.generation, block, layout.size(), layout.align(), new)
            },
            // SAFETY: as for `dealloc`.
            None => unsafe { System.realloc(block, layout, new) },
        }
    }
}
