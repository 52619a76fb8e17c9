//! Buffers of the host's.

use std::mem::ManuallyDrop;

use atoll_protocol::abi::{Buffer, Buffers};
use bytes::Bytes;

/// A buffer that is a vector of the host's.
pub fn from_vec(bytes: Vec<u8>) -> Buffer {
    unsafe extern "C" fn release(_: *const u8, data: *mut u8, len: usize, capacity: usize) {
        // SAFETY: these are the parts of a vector of this host's, given back once.
        drop(unsafe { Vec::from_raw_parts(data, len, capacity) });
    }
    if bytes.capacity() == 0 {
        return Buffer::default();
    }
    let mut bytes = ManuallyDrop::new(bytes);
    // SAFETY: the parts of a vector that nothing else owns any more.
    unsafe {
        Buffer::from_raw_parts(bytes.as_mut_ptr(), bytes.len(), bytes.capacity(), std::ptr::null(), release)
    }
}

/// A buffer that holds `Bytes` of the host's.
pub fn from_bytes(bytes: Bytes) -> Buffer {
    unsafe extern "C" fn release(owner: *const u8, _: *mut u8, _: usize, _: usize) {
        // SAFETY: the owner is the box made below, given back once.
        drop(unsafe { Box::from_raw(owner.cast::<Bytes>().cast_mut()) });
    }
    let bytes = Box::new(bytes);
    let (data, len) = (bytes.as_ptr().cast_mut(), bytes.len());
    // SAFETY: the box keeps the bytes where they are, and a buffer's bytes are only read.
    unsafe { Buffer::from_raw_parts(data, len, len, Box::into_raw(bytes).cast::<u8>(), release) }
}

/// A list of buffers in the host's memory.
pub fn list(buffers: Vec<Buffer>) -> Buffers {
    unsafe extern "C" fn release(_: *const u8, data: *mut Buffer, _: usize, capacity: usize) {
        // SAFETY: these are the parts of a vector of this host's whose buffers are gone already.
        drop(unsafe { Vec::from_raw_parts(data, 0, capacity) });
    }
    if buffers.is_empty() {
        return Buffers::default();
    }
    let mut buffers = ManuallyDrop::new(buffers);
    // SAFETY: the parts of a vector that nothing else owns any more.
    unsafe {
        Buffers::from_raw_parts(
            buffers.as_mut_ptr(),
            buffers.len(),
            buffers.capacity(),
            std::ptr::null(),
            release,
        )
    }
}
