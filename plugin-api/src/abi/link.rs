//! The library's link to its host, set once by `bind`.

use std::mem::ManuallyDrop;
use std::sync::OnceLock;

use crate::abi::{Buffer, Buffers, GenerationHandle, HostRef};

/// The host's functions, and who this library is to it.
pub(crate) struct Link {
    pub(crate) host: HostRef,
    pub(crate) generation: GenerationHandle,
    /// Whether the library allocates from the host's heap, so that its blocks can become buffers as they are.
    pub(crate) host_heap: bool,
    /// Whether this is a program that tests an app, and the host is a part of it.
    pub(crate) is_test: bool,
}

static LINK: OnceLock<Link> = OnceLock::new();

/// Sets the link; `false` if it was set before.
pub(crate) fn set(link: Link) -> bool {
    LINK.set(link).is_ok()
}

/// The link, once the library is bound. Does not allocate.
pub(crate) fn get() -> Option<&'static Link> {
    LINK.get()
}

impl Link {
    /// Makes a buffer of a vector: as it is where the host can free it, else by a copy.
    pub(crate) fn buffer(&self, bytes: Vec<u8>) -> Buffer {
        if !self.host_heap {
            // SAFETY: the pointer and length are those of `bytes`.
            return unsafe { self.host.buffer_copy()(bytes.as_ptr(), bytes.len()) };
        }
        if bytes.capacity() == 0 {
            return Buffer::default();
        }
        let mut bytes = ManuallyDrop::new(bytes);
        // SAFETY: a non-empty vector of bytes is a block of the global allocator at alignment 1, and
        // `host_heap` says that this is the host's; it is given away here and not dropped.
        unsafe {
            self.host.buffer_adopt()(self.generation, bytes.as_mut_ptr(), bytes.len(), bytes.capacity())
        }
    }

    /// Makes a buffer of a copy of bytes that this library keeps.
    pub(crate) fn copy(&self, bytes: &[u8]) -> Buffer {
        // SAFETY: the pointer and length are those of `bytes`.
        unsafe { self.host.buffer_copy()(bytes.as_ptr(), bytes.len()) }
    }

    /// Makes a list of one buffer, or none.
    pub(crate) fn buffer_list(&self, buffer: Option<Buffer>) -> Buffers {
        let mut buffer = ManuallyDrop::new(buffer);
        match buffer.as_mut_slice() {
            [] => Buffers::default(),
            // SAFETY: the host moves the buffer out of here, where it is not dropped.
            one => unsafe { self.host.buffers_move()(one.as_mut_ptr(), one.len()) },
        }
    }

    /// Makes a list of buffers.
    pub(crate) fn buffers(&self, buffers: Vec<Buffer>) -> Buffers {
        if buffers.is_empty() {
            return Buffers::default();
        }
        let mut buffers = buffers;
        let len = buffers.len();
        // SAFETY: the host moves `len` initialised buffers out of the vector, which forgets them first.
        unsafe {
            buffers.set_len(0);
            self.host.buffers_move()(buffers.as_mut_ptr(), len)
        }
    }
}
