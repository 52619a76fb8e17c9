//! Buffers of the test's.

use std::mem::ManuallyDrop;
use std::ptr;

use crate::abi::{Buffer, Buffers};

/// A buffer that is a vector.
pub(super) fn from_vec(bytes: Vec<u8>) -> Buffer {
    unsafe extern "C" fn release(_: *const u8, data: *mut u8, len: usize, capacity: usize) {
        // SAFETY: these are the parts of a vector, given back once.
        drop(unsafe { Vec::from_raw_parts(data, len, capacity) });
    }
    let mut bytes = ManuallyDrop::new(bytes);
    // SAFETY: the parts of a vector that nothing else owns any more.
    unsafe { Buffer::from_raw_parts(bytes.as_mut_ptr(), bytes.len(), bytes.capacity(), ptr::null(), release) }
}

/// A list of buffers.
pub(super) fn list(buffers: Vec<Buffer>) -> Buffers {
    unsafe extern "C" fn release(_: *const u8, data: *mut Buffer, _: usize, capacity: usize) {
        // SAFETY: these are the parts of a vector whose buffers are gone already.
        drop(unsafe { Vec::from_raw_parts(data, 0, capacity) });
    }
    let mut buffers = ManuallyDrop::new(buffers);
    // SAFETY: the parts of a vector that nothing else owns any more.
    unsafe {
        Buffers::from_raw_parts(buffers.as_mut_ptr(), buffers.len(), buffers.capacity(), ptr::null(), release)
    }
}
