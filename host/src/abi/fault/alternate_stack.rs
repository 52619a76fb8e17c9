//! The stack on which a thread's handlers of faults run: its own one may be what has overflowed.

use std::cell::RefCell;
use std::ptr;

/// How many bytes it has, besides a guard page. The record of a fault takes some thousand, the frame of the kernel up to
/// ten thousand, and what the standard library provides is as small as the system allows.
pub(crate) const SIZE: usize = 64 << 10;

/// With less than this the stack is not unwound.
pub(super) const ROOM_TO_UNWIND: usize = 32 << 10;

/// A mapping that is a thread's alternate stack, until the thread ends.
struct Stack {
    mapping: *mut libc::c_void,
    length: usize,
}

thread_local! {
    /// Dropped when the thread ends, also by `pthread_exit`.
    static STACK: RefCell<Option<Stack>> = const { RefCell::new(None) };
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
    if let Some(stack) = Stack::map() {
        // A thread that ends has no thread-locals any more, and needs no stack.
        let _ = STACK.try_with(|kept| {
            stack.install();
            *kept.borrow_mut() = Some(stack);
        });
    }
}

/// Whether the calling thread, in a handler, has room to unwind the stack.
pub(super) fn has_room_to_unwind() -> bool {
    let current = current();
    current.ss_flags & libc::SS_ONSTACK == 0 || current.ss_size >= ROOM_TO_UNWIND
}

impl Stack {
    fn map() -> Option<Self> {
        // SAFETY: no preconditions.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let length = SIZE + page;
        // SAFETY: a new mapping, and its first page, which nothing uses.
        unsafe {
            let (all, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let mapping = libc::mmap(ptr::null_mut(), length, all, private | libc::MAP_STACK, -1, 0);
            if mapping == libc::MAP_FAILED {
                return None;
            }
            let stack = Self { mapping, length };
            (libc::mprotect(mapping, page, libc::PROT_NONE) == 0).then_some(stack)
        }
    }

    fn install(&self) {
        let stack = libc::stack_t {
            ss_sp: self.mapping.wrapping_byte_add(self.length - SIZE),
            ss_flags: 0,
            ss_size: SIZE,
        };
        // SAFETY: the mapping stays until `drop`, which takes it back.
        unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let is_this = current().ss_sp == self.mapping.wrapping_byte_add(self.length - SIZE);
        if is_this {
            let none = libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: SIZE };
            // SAFETY: the thread, which is the one that installed it, has none then.
            unsafe { libc::sigaltstack(&none, ptr::null_mut()) };
        }
        // SAFETY: the mapping is this value's, and no handler runs on it: this is called as the thread ends.
        unsafe { libc::munmap(self.mapping, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_one_until_it_ends() {
        let place = std::thread::spawn(|| {
            ensure();
            let stack = current();
            assert_eq!((stack.ss_flags, stack.ss_size >= SIZE), (0, true));
            ensure();
            assert_eq!(current().ss_sp, stack.ss_sp, "it stays the same");
            assert!(has_room_to_unwind());
            stack.ss_sp as usize
        });
        let place = place.join().unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let starts = |line: &str| line.starts_with(&format!("{place:x}-"));
        assert!(!maps.lines().any(starts), "it is unmapped");
    }
}
