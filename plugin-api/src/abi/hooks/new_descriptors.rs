//! The functions that return a new file descriptor.

use super::behind::behind_program;
use super::descriptors::descriptor_event;
use super::types::*;

/// Gives a macro the functions that return a new descriptor, or -1.
#[doc(hidden)]
#[macro_export]
macro_rules! __new_descriptor_functions {
    ($($macro:tt)*) => {
        $($macro)*! {
            fn accept(socket: c_int, address: *mut sockaddr, length: *mut socklen_t) -> c_int;
            fn accept4(socket: c_int, address: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int;
            fn creat(path: *const c_char, mode: mode_t) -> c_int;
            fn creat64(path: *const c_char, mode: mode_t) -> c_int;
            fn dup(descriptor: c_int) -> c_int;
            fn dup2(descriptor: c_int, to: c_int) -> c_int;
            fn dup3(descriptor: c_int, to: c_int, flags: c_int) -> c_int;
            fn epoll_create(size: c_int) -> c_int;
            fn epoll_create1(flags: c_int) -> c_int;
            fn eventfd(count: c_uint, flags: c_int) -> c_int;
            fn inotify_init() -> c_int;
            fn inotify_init1(flags: c_int) -> c_int;
            fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
            fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
            fn signalfd(descriptor: c_int, signals: *const sigset_t, flags: c_int) -> c_int;
            fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
            fn timerfd_create(clock: c_int, flags: c_int) -> c_int;
        }
    };
}

/// Defines such functions, with the descriptor recorded.
macro_rules! recorded {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> c_int;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, with the descriptor recorded.")]
            ///
            /// # Safety
            /// As for libc's function.
            pub unsafe fn $name($($argument: $type),*) -> c_int {
                // SAFETY: by the caller's contract.
                let descriptor = unsafe { real::$name($($argument),*) };
                if descriptor >= 0 {
                    descriptor_event(descriptor, true);
                }
                descriptor
            }
        )*
    };
}

__new_descriptor_functions! { behind_program }
__new_descriptor_functions! { recorded }
