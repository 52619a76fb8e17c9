//! System calls by their numbers.

use std::io;

/// Makes a system call, as the last thing between a process and its sandbox.
pub(crate) fn call<const N: usize>(number: i64, arguments: [usize; N]) -> io::Result<usize> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: callers pass pointers that are valid for the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A signed number as an argument.
pub(crate) fn signed(number: i32) -> usize {
    number as isize as usize
}

/// The address of a value as an argument.
pub(crate) fn address<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<()>() as usize
}
