//! A generation's heap: mimalloc's first-class heap, counted, and destroyed as a whole.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use libmimalloc_sys as mi;

use crate::memory::allocator::is_usual;

/// How many heaps there are.
static HEAPS: AtomicUsize = AtomicUsize::new(0);

/// How many heaps there are in this process: one for each generation that is loaded, or whose memory is still in use.
pub(crate) fn count() -> usize {
    HEAPS.load(Ordering::Relaxed)
}

/// Where an app's memory comes from. Dropping it gives all of it back, whatever the app has left.
#[derive(Debug)]
pub struct Heap {
    raw: NonNull<mi::mi_heap_t>,
    /// Bytes allocated, without those that were freed by the app.
    live: AtomicI64,
    peak: AtomicI64,
    /// Called with the size of each allocation that fails.
    on_failure: OnceLock<OnFailure>,
    given_back: GivenBack,
}

/// What is done when an allocation fails.
struct OnFailure(Box<dyn Fn(usize) + Send + Sync>);

impl fmt::Debug for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnFailure").finish_non_exhaustive()
    }
}

/// Of the bytes in `live`, those that the host has freed. They are counted apart, in a cache line that the app's threads
/// rarely touch: an HTTP thread frees a buffer or two for each request, and each time the worker would have to wait for
/// the line to come back.
#[derive(Debug, Default)]
#[repr(align(128))]
struct GivenBack(AtomicI64);

// SAFETY: in mimalloc 3 a heap may be allocated from, freed to and destroyed from any thread.
unsafe impl Send for Heap {}
// SAFETY: as for `Send`.
unsafe impl Sync for Heap {}

impl Heap {
    /// A new, empty heap.
    ///
    /// # Panics
    /// When the system has no memory for it.
    pub fn new() -> Self {
        set_options();
        // SAFETY: no preconditions.
        let raw = NonNull::new(unsafe { mi::mi_heap_new() }).expect("there is memory for a heap");
        HEAPS.fetch_add(1, Ordering::Relaxed);
        Self {
            raw,
            live: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            on_failure: OnceLock::new(),
            given_back: GivenBack::default(),
        }
    }

    /// How many bytes are allocated now.
    pub fn live_bytes(&self) -> u64 {
        let GivenBack(given_back) = &self.given_back;
        u64::try_from(self.live.load(Ordering::Relaxed) - given_back.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// The most that [`live_bytes`](Self::live_bytes) has been.
    pub fn peak_bytes(&self) -> u64 {
        u64::try_from(self.peak.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn count(&self, change: i64) {
        let live = self.live.fetch_add(change, Ordering::Relaxed) + change;
        if live > self.peak.load(Ordering::Relaxed) {
            let given_back = self.given_back.0.swap(0, Ordering::Relaxed);
            self.live.fetch_sub(given_back, Ordering::Relaxed);
            self.peak.fetch_max(live - given_back, Ordering::Relaxed);
        }
    }

    fn counted(&self, block: *mut c_void, size: usize) -> *mut u8 {
        if block.is_null() {
            self.failed(size);
        } else {
            self.count(size as i64);
        }
        block.cast()
    }

    /// Calls `then` with the size of each allocation that fails from now on. It must not allocate.
    pub(crate) fn on_failure(&self, then: impl Fn(usize) + Send + Sync + 'static) {
        // A heap is that of one generation, which sets it once.
        let _ = self.on_failure.set(OnFailure(Box::new(then)));
    }

    #[cold]
    fn failed(&self, size: usize) {
        if let Some(OnFailure(then)) = self.on_failure.get() {
            then(size);
        }
    }

    /// `size` bytes at `align`, a power of two; null when there is no memory.
    pub(crate) fn alloc(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the heap is alive.
        let block = unsafe {
            if is_usual(align) {
                mi::mi_heap_malloc(self.raw.as_ptr(), size)
            } else {
                mi::mi_heap_malloc_aligned(self.raw.as_ptr(), size, align)
            }
        };
        self.counted(block, size)
    }

    /// As [`alloc`](Self::alloc), filled with zeros.
    pub(crate) fn alloc_zeroed(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: the heap is alive.
        self.counted(unsafe { mi::mi_heap_zalloc_aligned(self.raw.as_ptr(), size, align) }, size)
    }

    /// Grows or shrinks a block of this heap or of the system's; null, and the block as it was, when there is no
    /// memory.
    ///
    /// # Safety
    /// `block` was allocated with `size` and `align` by this heap or by the system's allocator, and is not freed.
    pub(crate) unsafe fn realloc(&self, block: *mut u8, size: usize, align: usize, new: usize) -> *mut u8 {
        // SAFETY: any address may be asked about.
        if unsafe { mi::mi_is_in_heap_region(block.cast()) } {
            // SAFETY: a block of this heap, by the caller's contract.
            let grown = unsafe {
                if is_usual(align) {
                    mi::mi_heap_realloc(self.raw.as_ptr(), block.cast(), new)
                } else {
                    mi::mi_heap_realloc_aligned(self.raw.as_ptr(), block.cast(), new, align)
                }
            };
            if grown.is_null() {
                self.failed(new);
            } else {
                self.count(new as i64 - size as i64);
            }
            return grown.cast();
        }
        let grown = self.alloc(new, align);
        if !grown.is_null() {
            // SAFETY: both blocks have as many bytes; the old one is the system's and is given up.
            unsafe {
                std::ptr::copy_nonoverlapping(block, grown, size.min(new));
                libc::free(block.cast());
            }
        }
        grown
    }

    /// Frees a block of this heap or of the system's allocator.
    ///
    /// # Safety
    /// As for [`realloc`](Self::realloc).
    pub(crate) unsafe fn free(&self, block: *mut u8, size: usize) {
        // SAFETY: by the caller's contract.
        if unsafe { release(block) } {
            self.live.fetch_sub(size as i64, Ordering::Relaxed);
        }
    }

    /// As [`free`](Self::free), for threads of the host.
    ///
    /// # Safety
    /// As for [`realloc`](Self::realloc).
    pub(crate) unsafe fn give_back(&self, block: *mut u8, size: usize) {
        // SAFETY: by the caller's contract.
        if unsafe { release(block) } {
            self.given_back.0.fetch_add(size as i64, Ordering::Relaxed);
        }
    }
}

/// Frees a block; whether it was a heap's, and not the system's.
///
/// # Safety
/// It is the one or the other, and is not freed.
unsafe fn release(block: *mut u8) -> bool {
    // SAFETY: any address may be asked about; the block is of the one allocator or of the other.
    unsafe {
        let ours = mi::mi_is_in_heap_region(block.cast());
        if ours {
            mi::mi_free(block.cast());
        } else {
            libc::free(block.cast());
        }
        ours
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: whoever used the heap held a count of it (the library's context, or a buffer), so nothing does.
        unsafe {
            mi::mi_heap_destroy(self.raw.as_ptr());
            mi::mi_collect(true);
        }
        HEAPS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// mimalloc's defaults are made for one big heap. With transparent huge pages off and smaller arenas, a heap of a
/// small app takes a tenth of the memory, and it goes back to the system when the heap is destroyed. What is free goes back
/// after a tenth of a second instead of a second: an app that faults, or is reloaded, again and again frees megabytes each
/// time. They have to be set before mimalloc is first asked for memory. Huge pages are off for the process, and for those that
/// it starts.
pub(crate) fn set_options() {
    // From `mi_option_t` in mimalloc 3.3's `mimalloc.h`.
    const PURGE_DELAY_MS: c_int = 15;
    const ARENA_RESERVE_KIB: c_int = 23;
    const ALLOW_THP: c_int = 43;
    static ONCE: Once = Once::new();
    // SAFETY: plain settings, made before the first heap.
    ONCE.call_once(|| unsafe {
        mi::mi_option_set(ALLOW_THP, 0);
        mi::mi_option_set(ARENA_RESERVE_KIB, 64 * 1024);
        mi::mi_option_set(PURGE_DELAY_MS, 100);
        // mimalloc asks its option once, in its constructor, which has run before this.
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_and_foreign_ones_are_not() {
        let heap = Heap::new();
        let block = heap.alloc(100, 8);
        assert!(!block.is_null());
        assert_eq!((heap.live_bytes(), heap.peak_bytes()), (100, 100));
        // SAFETY: blocks of this heap and of the system's allocator, each freed once.
        unsafe {
            let block = heap.realloc(block, 100, 8, 1000);
            assert_eq!(heap.live_bytes(), 1000);
            heap.free(block, 1000);
            assert_eq!((heap.live_bytes(), heap.peak_bytes()), (0, 1000));

            let foreign = libc::malloc(10).cast::<u8>();
            foreign.write_bytes(7, 10);
            let moved = heap.realloc(foreign, 10, 1, 20);
            assert_eq!(std::slice::from_raw_parts(moved, 10), [7; 10]);
            assert_eq!(heap.live_bytes(), 20);
            heap.free(libc::malloc(10).cast(), 10);
            assert_eq!(heap.live_bytes(), 20);
        }
        // What the host frees counts as well, and not towards the peak.
        for _ in 0..100 {
            let block = heap.alloc(500, 1);
            // SAFETY: a block of this heap, freed once.
            unsafe { heap.give_back(block, 500) };
        }
        assert_eq!((heap.live_bytes(), heap.peak_bytes()), (20, 1000));
        static FAILED: AtomicUsize = AtomicUsize::new(0);
        heap.on_failure(|size| FAILED.store(size, Ordering::Relaxed));
        assert!(heap.alloc(usize::MAX / 4, 8).is_null());
        assert_eq!(FAILED.load(Ordering::Relaxed), usize::MAX / 4);
        let zeroed = heap.alloc_zeroed(64, 64);
        assert_eq!(zeroed as usize % 64, 0);
        // SAFETY: 64 bytes that were just allocated.
        assert_eq!(unsafe { std::slice::from_raw_parts(zeroed, 64) }, [0; 64]);
    }
}
