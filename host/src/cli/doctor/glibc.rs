//! The C library that the process runs with.

use std::ffi::CStr;

/// Its version: `2.39`.
pub(super) fn version() -> String {
    // SAFETY: the function has no conditions, and what it returns is a text that is never freed.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}
