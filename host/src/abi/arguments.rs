//! The arguments of the process, which are the host's. An app, which reads those of its process, is to find the name of the
//! program only.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The process's list of arguments; null where the C library does not give it to what runs before `main`.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

#[used]
#[unsafe(link_section = ".init_array.00098")]
static NOTE: unsafe extern "C" fn(c_int, *mut *const c_char, *mut *const c_char) = note;

/// Called before `main`, by glibc with the process's arguments.
unsafe extern "C" fn note(count: c_int, arguments: *mut *const c_char, _: *mut *const c_char) {
    if count > 1 {
        ARGUMENTS.store(arguments, Ordering::Release);
    }
}

/// Hides all arguments but the program's name from what reads them from now on: libraries that are loaded, and this program. `ps`
/// shows them all.
pub fn hide_arguments() {
    let arguments = ARGUMENTS.swap(ptr::null_mut(), Ordering::AcqRel);
    if !arguments.is_null() {
        // SAFETY: the list has two arguments at least, and it belongs to the program, as C has it. Rust's standard library stops
        // at a null pointer.
        unsafe { arguments.add(1).write(ptr::null()) };
    }
}
