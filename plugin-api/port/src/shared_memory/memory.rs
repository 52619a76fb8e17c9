//! Memory that two processes share. All of the `unsafe` code that reaches it is here.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

use rustix::fs::{
    MemfdFlags, SealFlags, SeekFrom, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create, seek,
};
use rustix::io::pread;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A file in memory whose size cannot change.
#[derive(Debug)]
pub struct SharedMemory {
    file: OwnedFd,
    len: usize,
}

impl SharedMemory {
    /// A new one of `len` zero bytes. `name` is shown in `/proc`.
    ///
    /// # Errors
    /// The system has no descriptor or no memory for it.
    pub fn new(name: &str, len: usize) -> io::Result<Self> {
        let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, len as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
        Ok(Self { file, len })
    }

    /// What another process has made, of `len` bytes.
    ///
    /// # Errors
    /// It has another size, or the size can still change: access behind its end would end this process.
    pub fn received(file: OwnedFd, len: usize) -> io::Result<Self> {
        let fixed = SealFlags::SHRINK | SealFlags::GROW;
        let is_fixed = fcntl_get_seals(&file)?.contains(fixed) && fstat(&file)?.st_size == len as i64;
        is_fixed.then_some(Self { file, len }).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// From now on nobody can map it to write to it. Who has it mapped so already can.
    ///
    /// # Errors
    /// The system's.
    pub fn seal_writing(&self) -> io::Result<()> {
        Ok(fcntl_add_seals(&self.file, SealFlags::FUTURE_WRITE | SealFlags::SEAL)?)
    }

    /// A copy of its beginning, as far as anything was written: up to the first page without memory. It is not mapped, as that would
    /// give memory to all pages that are looked at.
    ///
    /// # Errors
    /// The system's.
    pub fn read_written(&self) -> io::Result<Vec<u8>> {
        let end = seek(&self.file, SeekFrom::Hole(0))?;
        let mut bytes = vec![0; usize::try_from(end).unwrap_or(self.len).min(self.len)];
        let mut read = 0;
        while read < bytes.len() {
            match pread(&self.file, &mut bytes[read..], read as u64)? {
                0 => break,
                count => read += count,
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The bytes from `offset`, to be read.
    ///
    /// # Errors
    /// There is no address space for it, or `offset` is not a multiple of the page size.
    pub fn map(&self, offset: usize, len: usize) -> io::Result<Mapping> {
        self.map_with(offset, len, ProtFlags::READ)
    }

    /// The bytes from `offset`, to be read and written.
    ///
    /// # Errors
    /// As for [`map`](Self::map), or writing is sealed.
    pub fn map_to_write(&self, offset: usize, len: usize) -> io::Result<WritableMapping> {
        Ok(WritableMapping(self.map_with(offset, len, ProtFlags::READ | ProtFlags::WRITE)?))
    }

    fn map_with(&self, offset: usize, len: usize, access: ProtFlags) -> io::Result<Mapping> {
        if len == 0 || offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the system chooses an address that is free.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, &self.file, offset as u64)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, len })
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Shared memory in the address space of this process. The other process may change it at any time, so that no reference to
/// its bytes is given out: they are copied, and its words are read as atomics.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to no thread, and is only reached by copies and atomics.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Where `len` bytes from `offset` are.
    ///
    /// # Panics
    /// They are not all in it.
    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.len),
            "{offset} + {len} > {}",
            self.len
        );
        // SAFETY: it is in the mapping.
        unsafe { self.start.as_ptr().add(offset) }
    }

    fn atomic<T>(&self, offset: usize) -> &T {
        let word = self.at(offset, size_of::<T>()).cast::<T>();
        assert!(word.is_aligned());
        // SAFETY: it is in the mapping, which lives as long as the reference, and aligned. Only atomics are asked for, whose
        // bytes are always valid, and which may change at any time.
        unsafe { &*word }
    }

    /// The number at `offset`. What the other process has written before it is seen from now on.
    pub fn load_u32(&self, offset: usize) -> u32 {
        // A load that is more than relaxed may write on some machines, and the memory may be read-only.
        let word = self.atomic::<AtomicU32>(offset).load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        word
    }

    /// As [`load_u32`](Self::load_u32).
    pub fn load_u64(&self, offset: usize) -> u64 {
        let word = self.atomic::<AtomicU64>(offset).load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        word
    }

    /// As [`load_u32`](Self::load_u32).
    pub fn load_i64(&self, offset: usize) -> i64 {
        self.atomic::<AtomicI64>(offset).load(Ordering::Relaxed)
    }

    /// Appends a copy of `len` bytes from `offset` to `into`.
    ///
    /// # Panics
    /// They are not all in it.
    pub fn copy_to(&self, offset: usize, len: usize, into: &mut Vec<u8>) {
        let from = self.at(offset, len);
        into.reserve(len);
        // SAFETY: there are `len` bytes at `from`, and room for as many behind those of the vector, which is memory of this
        // process. That another process may write meanwhile changes which bytes are copied, and nothing else: they are in
        // no reference.
        unsafe {
            std::ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(into.len()), len);
            into.set_len(into.len() + len);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and no reference to it is left. Nothing is to be done where it fails.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// A [`Mapping`] that this process may write to.
#[derive(Debug)]
pub struct WritableMapping(Mapping);

impl std::ops::Deref for WritableMapping {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        &self.0
    }
}

impl WritableMapping {
    /// The number at `offset`, to be changed.
    pub fn word_u32(&self, offset: usize) -> &AtomicU32 {
        self.0.atomic(offset)
    }

    /// As [`word_u32`](Self::word_u32).
    pub fn word_u64(&self, offset: usize) -> &AtomicU64 {
        self.0.atomic(offset)
    }

    /// As [`word_u32`](Self::word_u32).
    pub fn word_i64(&self, offset: usize) -> &AtomicI64 {
        self.0.atomic(offset)
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// They do not fit in.
    pub fn copy_from(&self, offset: usize, bytes: &[u8]) {
        let to = self.at(offset, bytes.len());
        // SAFETY: there is room for the bytes, which are memory of this process.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_is_written_and_cannot_write() {
        let memory = SharedMemory::new("test", 8192).unwrap();
        let writer = memory.map_to_write(0, 8192).unwrap();
        memory.seal_writing().unwrap();
        assert!(memory.map_to_write(0, 8192).is_err(), "writing is sealed");
        assert!(ftruncate(&memory, 100).is_err() && ftruncate(&memory, 10_000).is_err());

        let reader = memory.map(4096, 4096).unwrap();
        writer.copy_from(4096, b"hello");
        writer.word_u64(4104).store(7, Ordering::Release);
        let mut bytes = b"> ".to_vec();
        reader.copy_to(0, 5, &mut bytes);
        assert_eq!((&bytes[..], reader.load_u64(8), reader.load_u32(8)), (&b"> hello"[..], 7, 7));
    }

    #[test]
    fn what_was_written_can_be_read_without_the_rest() {
        let memory = SharedMemory::new("test", 8 << 20).unwrap();
        assert_eq!(memory.read_written().unwrap(), b"");
        let writer = memory.map_to_write(0, 8 << 20).unwrap();
        writer.copy_from(4090, b"hello, you");
        let bytes = memory.read_written().unwrap();
        assert_eq!((bytes.len(), &bytes[4090..4100]), (8192, &b"hello, you"[..]));
        writer.copy_from(20_000, b"behind a page without memory");
        assert_eq!(memory.read_written().unwrap(), bytes);
        assert_eq!(fstat(memory.as_fd()).unwrap().st_blocks * 512, 3 * 4096, "to read it takes no memory");
        for page in (0..8 << 20).step_by(4096) {
            writer.copy_from(page, b"x");
        }
        assert_eq!(memory.read_written().unwrap().len(), 8 << 20);
    }

    #[test]
    fn memory_whose_size_can_change_is_not_taken() {
        let open = memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&open, 4096).unwrap();
        assert!(SharedMemory::received(open.try_clone().unwrap(), 4096).is_err());
        fcntl_add_seals(&open, SealFlags::SHRINK | SealFlags::GROW).unwrap();
        assert!(SharedMemory::received(open.try_clone().unwrap(), 8192).is_err(), "it is smaller");
        let memory = SharedMemory::received(open, 4096).unwrap();
        assert!(memory.map(0, 8192).is_err() && memory.map(4096, 1).is_err() && memory.map(0, 0).is_err());
    }

    #[test]
    #[should_panic(expected = "4090 + 8 > 4096")]
    fn nothing_is_read_behind_its_end() {
        SharedMemory::new("test", 4096).unwrap().map(0, 4096).unwrap().copy_to(4090, 8, &mut Vec::new());
    }
}
