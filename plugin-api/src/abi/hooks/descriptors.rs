//! File descriptors, which statics hold and nobody closes.
//!
//! Those that are made before the library is bound, by its constructors, are not recorded.
//!
//! A forked child comes here too, before its `exec`, and in it a lock that another thread held stays locked for good.
//! So nothing here, or in the host behind it, takes a lock or allocates in such a child.

use super::behind::behind;
use super::locks;
use super::types::*;
use crate::abi::link;

behind! {
    fn close(descriptor: c_int) -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int;
    fn fcntl64(descriptor: c_int, command: c_int, argument: usize) -> c_int;
    fn fdopen(descriptor: c_int, mode: *const c_char) -> *mut FILE;
    fn fdopendir(descriptor: c_int) -> *mut DIR;
    fn pipe(ends: *mut c_int) -> c_int;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int;
}

/// Tells the host of a descriptor that was made, or that is no longer the library's.
pub(super) fn descriptor_event(descriptor: c_int, made: bool) {
    if let Some(link) = link::get() {
        // SAFETY: any number will do.
        unsafe { link.host.descriptor_event()(link.generation, descriptor, made) };
    }
}

/// `close`, with the descriptor struck off: before, as its number may be another's right after.
///
/// # Safety
/// As for libc's function.
pub unsafe fn close(descriptor: c_int) -> c_int {
    locks::closed(descriptor);
    descriptor_event(descriptor, false);
    // SAFETY: by the caller's contract.
    unsafe { real::close(descriptor) }
}

/// `fcntl`, with a duplicate recorded, and locks that are the library's own.
///
/// # Safety
/// As for libc's function.
pub unsafe fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe {
        locks::fcntl(descriptor, command, argument)
            .unwrap_or_else(|| duplicated(command, real::fcntl(descriptor, command, argument)))
    }
}

/// `fcntl64`, with a duplicate recorded, and locks that are the library's own.
///
/// # Safety
/// As for libc's function.
pub unsafe fn fcntl64(descriptor: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe {
        locks::fcntl(descriptor, command, argument)
            .unwrap_or_else(|| duplicated(command, real::fcntl64(descriptor, command, argument)))
    }
}

fn duplicated(command: c_int, result: c_int) -> c_int {
    if result >= 0 && matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        descriptor_event(result, true);
    }
    result
}

/// `fdopen`, with the descriptor struck off: libc closes it with the stream, unseen.
///
/// # Safety
/// As for libc's function.
pub unsafe fn fdopen(descriptor: c_int, mode: *const c_char) -> *mut FILE {
    // SAFETY: by the caller's contract.
    let stream = unsafe { real::fdopen(descriptor, mode) };
    if !stream.is_null() {
        descriptor_event(descriptor, false);
    }
    stream
}

/// `fdopendir`, with the descriptor struck off: libc closes it with the stream, unseen.
///
/// # Safety
/// As for libc's function.
pub unsafe fn fdopendir(descriptor: c_int) -> *mut DIR {
    // SAFETY: by the caller's contract.
    let stream = unsafe { real::fdopendir(descriptor) };
    if !stream.is_null() {
        descriptor_event(descriptor, false);
    }
    stream
}

/// `pipe`, with both ends recorded.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pipe(ends: *mut c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { both(real::pipe(ends), ends) }
}

/// `pipe2`, with both ends recorded.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { both(real::pipe2(ends, flags), ends) }
}

/// `socketpair`, with both ends recorded.
///
/// # Safety
/// As for libc's function.
pub unsafe fn socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int {
    // SAFETY: by the caller's contract.
    unsafe { both(real::socketpair(domain, kind, protocol, ends), ends) }
}

/// # Safety
/// Where `result` is 0, libc has written two descriptors to `ends`.
unsafe fn both(result: c_int, ends: *mut c_int) -> c_int {
    if result == 0 {
        // SAFETY: by the caller's contract.
        for descriptor in unsafe { *ends.cast::<[c_int; 2]>() } {
            descriptor_event(descriptor, true);
        }
    }
    result
}
