//! libc's functions, behind those that the library defines under their names.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One of libc's functions, looked up once.
pub(super) struct Behind {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Behind {
    /// `name` ends with a NUL, its only one.
    pub(super) const fn new(name: &'static str) -> Self {
        match CStr::from_bytes_with_nul(name.as_bytes()) {
            Ok(name) => Self { name, found: AtomicPtr::new(ptr::null_mut()) },
            Err(_) => panic!("the name ends with its only NUL"),
        }
    }

    /// The function's address.
    pub(super) fn find(&self) -> *mut c_void {
        // Relaxed will do: the address is that of code, which was there before.
        let found = self.found.load(Ordering::Relaxed);
        if !found.is_null() {
            return found;
        }
        // SAFETY: `name` is a C string; `RTLD_NEXT` looks behind the object that this code is in.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        if found.is_null() {
            // Without its own libc the library cannot go on; there is nobody to return an error to.
            // SAFETY: no preconditions.
            unsafe { libc::syscall(libc::SYS_exit_group, 127) };
            unreachable!("the process has ended")
        }
        self.found.store(found, Ordering::Relaxed);
        found
    }
}

/// Makes a module `real` of libc's functions with these signatures, which have to be libc's. Where libc's function
/// takes variable arguments, the number given here is passed: for integers and pointers that is the same on Linux.
macro_rules! behind {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty;)*) => {
        /// libc's functions.
        pub(super) mod real {
            #[allow(unused_imports, reason = "not every list needs all types")]
            use crate::abi::hooks::types::*;

            $(
                mod $name {
                    pub(super) static BEHIND: crate::abi::hooks::behind::Behind =
                        crate::abi::hooks::behind::Behind::new(concat!(stringify!($name), "\0"));
                }

                /// # Safety
                /// As for libc's function.
                pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                    type Function = unsafe extern "C" fn($($type),*) -> $result;
                    // SAFETY: libc's function of this name has this type.
                    let function: Function = unsafe { std::mem::transmute($name::BEHIND.find()) };
                    // SAFETY: by the caller's contract.
                    unsafe { function($($argument),*) }
                }
            )*

            /// Looks them all up.
            pub(crate) fn find_all() {
                $(let _ = $name::BEHIND.find();)*
            }
        }
    };
}
pub(super) use behind;
