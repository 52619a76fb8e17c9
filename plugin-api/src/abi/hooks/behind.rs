//! libc's functions, behind those that the library defines under their names.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// One of libc's functions, looked up once.
pub(super) struct Behind {
    name: &'static CStr,
    origin: Origin,
    found: AtomicPtr<c_void>,
}

/// Where a function is looked up.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// In libc, also if the program defines it for shared libraries: what happens there would happen twice.
    Libc,
    /// Where it would come from if the library did not define it: the program may look at the calls.
    Program,
}

impl Behind {
    /// `name` ends with a NUL, its only one.
    pub(super) const fn new(name: &'static str, origin: Origin) -> Self {
        match CStr::from_bytes_with_nul(name.as_bytes()) {
            Ok(name) => Self { name, origin, found: AtomicPtr::new(ptr::null_mut()) },
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
        let handle = match self.origin {
            // Behind the object that this code is in.
            Origin::Libc => libc::RTLD_NEXT,
            // The library's function is hidden, so that it does not find itself.
            Origin::Program => libc::RTLD_DEFAULT,
        };
        // SAFETY: `name` is a C string.
        let found = unsafe { libc::dlsym(handle, self.name.as_ptr()) };
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
        $crate::abi::hooks::behind::behind! {
            @in Libc $(fn $name($($argument: $type),*) -> $result;)*
        }
    };
    (@in $origin:ident $(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty;)*) => {
        /// libc's functions.
        pub(super) mod real {
            #[allow(unused_imports, reason = "not every list needs all types")]
            use crate::abi::hooks::types::*;

            $(
                mod $name {
                    pub(super) static BEHIND: crate::abi::hooks::behind::Behind =
                        crate::abi::hooks::behind::Behind::new(
                            concat!(stringify!($name), "\0"),
                            crate::abi::hooks::behind::Origin::$origin,
                        );
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

/// As [`behind`], of functions at whose calls the program may look.
macro_rules! behind_program {
    ($($functions:tt)*) => {
        $crate::abi::hooks::behind::behind! { @in Program $($functions)* }
    };
}
pub(super) use behind_program;
