//! Standard output and standard error of the library: what it writes there becomes records in the host's log, one for each
//! line.
//!
//! What is here is for code that writes by the system's calls, as Rust's standard library does. C's streams (`printf`) are
//! the C library's, and write to those of the host.

use std::cell::Cell;
use std::slice;
use std::sync::{Mutex, PoisonError};

use super::behind::behind;
use super::process;
use super::types::*;
use crate::abi::logging;

behind! {
    fn isatty(descriptor: c_int) -> c_int;
    fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize;
    fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> isize;
}

/// A line that is longer is several records.
const MAX_LINE: usize = 64 << 10;

/// What was written without the end of its line.
static LINES: [Mutex<Vec<u8>>; 2] = [Mutex::new(Vec::new()), Mutex::new(Vec::new())];

const TARGETS: [&str; 2] = ["stdout", "stderr"];

thread_local! {
    /// Whether this thread is here already: what the log itself writes is not for the log.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread writes what is in the log already.
    static IS_MUTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; what it writes to the streams is left out, as it is in the log already.
#[cfg(feature = "tracing")]
pub(crate) fn muted<T>(f: impl FnOnce() -> T) -> T {
    struct Muted(bool);
    impl Drop for Muted {
        fn drop(&mut self) {
            IS_MUTED.set(self.0);
        }
    }
    let _before = Muted(IS_MUTED.replace(true));
    f()
}

/// Which of the streams a descriptor is; `None`: it is none of the library's.
fn stream(descriptor: c_int) -> Option<usize> {
    if descriptor != libc::STDOUT_FILENO && descriptor != libc::STDERR_FILENO {
        return None;
    }
    // A forked child has no host, and what it writes is for who has started it.
    let is_here = !process::is_forked_child() && logging::can_write();
    is_here.then_some((descriptor - libc::STDOUT_FILENO) as usize)
}

/// Writes bytes to a stream; `false`: this thread does so already.
fn push(stream: usize, bytes: &[u8]) -> bool {
    if IS_MUTED.get() {
        return true;
    }
    if IS_INSIDE.replace(true) {
        return false;
    }
    let mut line = LINES[stream].lock().unwrap_or_else(PoisonError::into_inner);
    for part in bytes.split_inclusive(|byte| *byte == b'\n') {
        line.extend_from_slice(part);
        if line.ends_with(b"\n") || line.len() >= MAX_LINE {
            flush(stream, &mut line);
        }
    }
    drop(line);
    IS_INSIDE.set(false);
    true
}

/// Makes a record of the line.
fn flush(stream: usize, line: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    if !text.is_empty() {
        logging::write_line(TARGETS[stream], text);
    }
    line.clear();
}

/// Makes records of what is left, when the library ends.
pub(crate) fn flush_all() {
    for (stream, line) in LINES.iter().enumerate() {
        flush(stream, &mut line.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// `write`, to the host's log if it is for a standard stream.
///
/// # Safety
/// As for libc's function.
pub unsafe fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize {
    if let Some(stream) = stream(descriptor) {
        // SAFETY: by the caller's contract; without bytes the pointer may be any.
        let bytes = if length == 0 { &[] } else { unsafe { slice::from_raw_parts(bytes.cast(), length) } };
        if push(stream, bytes) {
            return length.cast_signed();
        }
    }
    // SAFETY: by the caller's contract.
    unsafe { real::write(descriptor, bytes, length) }
}

/// `writev`, to the host's log if it is for a standard stream.
///
/// # Safety
/// As for libc's function.
pub unsafe fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> isize {
    if stream(descriptor).is_none() || count <= 0 {
        // SAFETY: by the caller's contract.
        return unsafe { real::writev(descriptor, parts, count) };
    }
    let mut written = 0;
    // SAFETY: by the caller's contract.
    for part in unsafe { slice::from_raw_parts(parts, count as usize) } {
        // SAFETY: by the caller's contract.
        written += unsafe { write(descriptor, part.iov_base, part.iov_len) };
    }
    written
}

/// `isatty`: the standard streams of a library are no terminals.
///
/// # Safety
/// As for libc's function.
pub unsafe fn isatty(descriptor: c_int) -> c_int {
    if stream(descriptor).is_some() || descriptor == libc::STDIN_FILENO {
        // SAFETY: it is this thread's.
        unsafe { *libc::__errno_location() = libc::ENOTTY };
        return 0;
    }
    // SAFETY: by the caller's contract.
    unsafe { real::isatty(descriptor) }
}
