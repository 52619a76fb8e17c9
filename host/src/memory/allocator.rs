//! The host's own memory: mimalloc, as for the apps' heaps.
//!
//! For each request a message is made on one thread and freed on another. The allocator of glibc takes a lock there that
//! the first thread wants, too; mimalloc takes none.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys as mi;

use crate::memory::heap::set_options;

/// A global allocator for a host.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: atoll_host::Allocator = atoll_host::Allocator;
/// # fn main() { assert_eq!(vec![1; 100].len(), 100) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

/// Whether any block has this alignment, and it need not be asked for.
pub(crate) const fn is_usual(align: usize) -> bool {
    align <= size_of::<usize>()
}

// SAFETY: mimalloc keeps the contract of `GlobalAlloc` in its functions for aligned blocks, and the others align any
// block to a word.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        set_options();
        // SAFETY: any size and alignment of a layout may be asked for.
        unsafe {
            if is_usual(layout.align()) {
                mi::mi_malloc(layout.size()).cast()
            } else {
                mi::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        set_options();
        // SAFETY: as for `alloc`.
        unsafe { mi::mi_zalloc_aligned(layout.size(), layout.align()).cast() }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the block is mimalloc's, by the caller's contract.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        // SAFETY: as for `dealloc`; the new size fits the alignment.
        unsafe { mi::mi_realloc_aligned(block.cast(), new, layout.align()).cast() }
    }
}
