//! The stack on which a thread's handlers of faults run: its own one may be what has overflowed.

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use libc::pthread_key_t;

/// How many bytes it has, besides a guard page. The record of a fault takes some thousand, the frame of the kernel up to
/// ten thousand, and what the standard library provides is as small as the system allows.
pub(crate) const SIZE: usize = 64 << 10;

/// With less than this the stack is not unwound.
const ROOM_TO_UNWIND: usize = 32 << 10;

/// The key of the calling thread's mapping, which is unmapped when the thread ends, also by `pthread_exit`. Not a thread-local
/// of Rust's: to register its destructor takes a lock of the dynamic linker's, which may wait for this thread.
fn key() -> Option<pthread_key_t> {
    static KEY: OnceLock<Option<pthread_key_t>> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: there is room for the key, and the function may be called with what `ensure` sets.
        (unsafe { libc::pthread_key_create(&mut key, Some(give_back)) } == 0).then_some(key)
    })
}

/// The calling thread's alternate stack, and whether it runs on it.
fn current() -> libc::stack_t {
    let mut current = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: it only asks, and there is room for the answer.
    unsafe { libc::sigaltstack(ptr::null(), &mut current) };
    current
}

/// Gives the calling thread an alternate stack of this [size](SIZE), unless it has one that is as large. Without memory for it
/// the thread does without: an overflow of its stack leaves no record then.
pub(crate) fn ensure() {
    let before = current();
    if before.ss_flags & libc::SS_ONSTACK != 0
        || before.ss_flags & libc::SS_DISABLE == 0 && before.ss_size >= SIZE
    {
        return;
    }
    let Some(key) = key() else { return };
    // SAFETY: no preconditions. A thread that has one, and has set another since, has it still.
    if !unsafe { libc::pthread_getspecific(key) }.is_null() {
        return;
    }
    let Some(mapping) = map() else { return };
    // SAFETY: the key is there; the mapping stays until `give_back`, or is given back here.
    unsafe {
        if libc::pthread_setspecific(key, mapping) != 0 {
            libc::munmap(mapping, length());
            return;
        }
        let stack = libc::stack_t { ss_sp: stack_in(mapping), ss_flags: 0, ss_size: SIZE };
        libc::sigaltstack(&stack, ptr::null_mut());
    }
}

/// Whether the calling thread, in a handler, has room to unwind the stack.
pub(super) fn has_room_to_unwind() -> bool {
    let current = current();
    current.ss_flags & libc::SS_ONSTACK == 0 || current.ss_size >= ROOM_TO_UNWIND
}

fn page() -> usize {
    // SAFETY: no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(page).unwrap_or(4096)
}

/// The length of a mapping: a guard page, and the stack above it.
fn length() -> usize {
    page() + SIZE
}

fn stack_in(mapping: *mut c_void) -> *mut c_void {
    mapping.wrapping_byte_add(page())
}

fn map() -> Option<*mut c_void> {
    // SAFETY: a new mapping, and its first page, which nothing uses.
    unsafe {
        let (all, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let mapping = libc::mmap(ptr::null_mut(), length(), all, private | libc::MAP_STACK, -1, 0);
        if mapping == libc::MAP_FAILED {
            return None;
        }
        if libc::mprotect(mapping, page(), libc::PROT_NONE) != 0 {
            libc::munmap(mapping, length());
            return None;
        }
        Some(mapping)
    }
}

/// Called as the thread ends, with its mapping.
unsafe extern "C" fn give_back(mapping: *mut c_void) {
    if current().ss_sp == stack_in(mapping) {
        let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: SIZE };
        // SAFETY: the thread has none then.
        unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
    }
    // SAFETY: the mapping is this thread's, and no handler runs on it: this is called as the thread ends.
    unsafe { libc::munmap(mapping, length()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_one_and_keeps_it() {
        let check = || {
            ensure();
            let stack = current();
            assert_eq!((stack.ss_flags, stack.ss_size >= SIZE), (0, true));
            ensure();
            assert_eq!(current().ss_sp, stack.ss_sp, "it stays the same");
            assert!(has_room_to_unwind());
        };
        std::thread::spawn(check).join().unwrap();
    }

    /// How many parts of the address space are as large as such a stack. A thread of another test may have some of them.
    fn mapped() -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let size = |line: &str| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some(u64::from_str_radix(end, 16).ok()? - u64::from_str_radix(start, 16).ok()?)
        };
        maps.lines().filter(|line| size(line) == Some(SIZE as u64)).count()
    }

    #[test]
    fn it_is_unmapped_when_its_thread_ends() {
        const THREADS: usize = 2000;
        for _ in 0..THREADS {
            std::thread::spawn(ensure).join().unwrap();
        }
        assert!(mapped() < THREADS / 2, "{} of them are mapped", mapped());
    }
}
