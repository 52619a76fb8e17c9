//! Safe use of [`Buffer`], [`Buffers`] and [`Message`].

use std::ops::{Deref, DerefMut};
use std::{mem, ptr, slice};

use crate::abi::{Buffer, Buffers, Message, ReleaseBuffer, ReleaseBuffers};

// SAFETY: a buffer is the only owner of its bytes, and `release` may be called on any thread; the host, which
// implements every `release`, keeps that.
unsafe impl Send for Buffer {}
// SAFETY: a shared buffer only gives out `&[u8]`.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// A buffer from its parts, for the host.
    ///
    /// # Safety
    /// `data` points at `len` initialised bytes that nothing else reads or writes until `release` is called;
    /// `release(owner, data, len, capacity)` may be called once, on any thread, and its code is never unloaded.
    pub unsafe fn from_raw_parts(
        data: *mut u8,
        len: usize,
        capacity: usize,
        owner: *const u8,
        release: ReleaseBuffer,
    ) -> Self {
        Self { data, len, capacity, owner, release: Some(release) }
    }
}

impl Default for Buffer {
    /// An empty buffer, which owns nothing.
    fn default() -> Self {
        Self {
            data: ptr::NonNull::dangling().as_ptr(),
            len: 0,
            capacity: 0,
            owner: ptr::null(),
            release: None,
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `data` points at `len` initialised bytes that this buffer owns (`from_raw_parts`).
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the parts are those that `from_raw_parts` was given, and they are given back once.
            unsafe { release(self.owner, self.data, self.len, self.capacity) };
        }
    }
}

// SAFETY: as for `Buffer`.
unsafe impl Send for Buffers {}
// SAFETY: as for `Buffer`.
unsafe impl Sync for Buffers {}

impl Buffers {
    /// A list from its parts, for the host.
    ///
    /// # Safety
    /// As for [`Buffer::from_raw_parts`], with initialised buffers instead of bytes; `release` frees the
    /// list's own memory only, and is called when its buffers have been moved out or dropped.
    pub unsafe fn from_raw_parts(
        data: *mut Buffer,
        len: usize,
        capacity: usize,
        owner: *const u8,
        release: ReleaseBuffers,
    ) -> Self {
        Self { data, len, capacity, owner, release: Some(release) }
    }

    /// Takes buffer `index` out and leaves an empty one; `None` when there is no such buffer.
    pub fn take(&mut self, index: usize) -> Option<Buffer> {
        self.get_mut(index).map(mem::take)
    }
}

impl Default for Buffers {
    /// An empty list, which owns nothing.
    fn default() -> Self {
        Self {
            data: ptr::NonNull::dangling().as_ptr(),
            len: 0,
            capacity: 0,
            owner: ptr::null(),
            release: None,
        }
    }
}

impl Deref for Buffers {
    type Target = [Buffer];

    fn deref(&self) -> &[Buffer] {
        // SAFETY: `data` points at `len` initialised buffers that this list owns (`from_raw_parts`).
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }
}

impl DerefMut for Buffers {
    fn deref_mut(&mut self) -> &mut [Buffer] {
        // SAFETY: as for `deref`; the list is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the list owns its `len` buffers and is not used again; `release` frees only their memory.
        unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(self.data, self.len)) };
        if let Some(release) = self.release {
            // SAFETY: as for `Buffer`.
            unsafe { release(self.owner, self.data, self.len, self.capacity) };
        }
    }
}

impl Message {
    /// Takes the JSON text out and leaves an empty one.
    pub fn take_json(&mut self) -> Buffer {
        mem::take(&mut self.json)
    }
}
