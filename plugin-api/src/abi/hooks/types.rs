//! The types in the functions' signatures.

pub use std::ffi::{c_char, c_int, c_uint, c_void};

pub use libc::{DIR, FILE, iovec, mode_t, pthread_attr_t, pthread_t, sigset_t, sockaddr, socklen_t};

/// What a new thread begins with. It may end by `pthread_exit`, which unwinds.
pub type StartRoutine = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;
/// A list of variables, with a null pointer at the end.
pub type Environment = *mut *mut c_char;
/// What is done at a signal.
pub type SignalAction = libc::sigaction;
/// What a thread calls with a key's value at its end.
pub type KeyDestructor = Option<unsafe extern "C" fn(*mut c_void)>;
