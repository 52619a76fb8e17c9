//! libc's functions, behind those that the program [defines](super::exports).

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One of libc's functions, behind that of the program.
pub(crate) struct Behind {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Behind {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Its address.
    pub(crate) fn find(&self) -> *mut c_void {
        // Relaxed will do: the address is that of code, which was there before.
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: the name is a C string; `RTLD_NEXT` looks behind the program.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            self.found.store(found, Ordering::Relaxed);
        }
        if found.is_null() {
            // There is no libc to go on with, and nobody to return an error to.
            // SAFETY: no preconditions.
            unsafe { libc::_exit(127) };
        }
        found
    }
}
