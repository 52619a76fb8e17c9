//! What an app registers for its process, which stays when the app is unloaded, and would call it then.
//!
//! These are registries that have a function to take an entry back, which nobody calls: timers; OpenSSL's indices for extra
//! data, of which the `openssl` crate takes some with a destructor in the app; and the unwind tables of code that is
//! compiled at run time, in the unwinder. The entries that are left are taken back before the library is unloaded.
//!
//! An app that is linked statically with OpenSSL or the unwinder takes the registry along. So their functions are defined
//! weakly: those of a static library are used in their place.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::process;

/// An entry of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// In OpenSSL, for a class of objects.
    ExtraData { class: c_int, index: c_int },
    /// In the unwinder.
    Frames { begin: usize },
    /// In the kernel.
    Timer { timer: usize },
}

fn made(entry: Entry) {
    if !process::is_forked_child() {
        left().push(entry);
    }
}

fn gone(entry: Entry) {
    if !process::is_forked_child() {
        let mut left = left();
        if let Some(place) = left.iter().position(|&found| found == entry) {
            left.swap_remove(place);
        }
    }
}

static LEFT: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

fn left() -> MutexGuard<'static, Vec<Entry>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The function of this name in a library that the app is linked with.
///
/// # Safety
/// `F` is the type of a pointer to it.
unsafe fn find<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: `name` is a C string; `RTLD_NEXT` looks behind the object that this code is in.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    // SAFETY: by the caller's contract.
    (!found.is_null()).then(|| unsafe { std::mem::transmute_copy(&found) })
}

type NewIndex =
    unsafe extern "C" fn(c_int, c_long, *mut c_void, *const c_void, *const c_void, *const c_void) -> c_int;

/// OpenSSL's function, with the index recorded.
///
/// # Safety
/// As for OpenSSL's function.
pub unsafe extern "C" fn new_index(
    class: c_int,
    number: c_long,
    pointer: *mut c_void,
    new: *const c_void,
    copy: *const c_void,
    free: *const c_void,
) -> c_int {
    // SAFETY: OpenSSL's function has this type.
    let Some(function) = (unsafe { find::<NewIndex>(c"CRYPTO_get_ex_new_index") }) else { return -1 };
    // SAFETY: by the caller's contract.
    let index = unsafe { function(class, number, pointer, new, copy, free) };
    if index >= 0 {
        made(Entry::ExtraData { class, index });
    }
    index
}

type FreeIndex = unsafe extern "C" fn(c_int, c_int) -> c_int;

/// OpenSSL's function, with the index struck off.
///
/// # Safety
/// As for OpenSSL's function.
pub unsafe extern "C" fn free_index(class: c_int, index: c_int) -> c_int {
    gone(Entry::ExtraData { class, index });
    // SAFETY: OpenSSL's function has this type, and by the caller's contract.
    unsafe { find::<FreeIndex>(c"CRYPTO_free_ex_index").map_or(0, |function| function(class, index)) }
}

type Frames = unsafe extern "C" fn(*mut c_void);

/// The unwinder's function, with the table recorded.
///
/// # Safety
/// As for the unwinder's function.
pub unsafe extern "C" fn register_frame(begin: *mut c_void) {
    made(Entry::Frames { begin: begin.expose_provenance() });
    // SAFETY: the unwinder's function has this type, and by the caller's contract.
    unsafe {
        if let Some(function) = find::<Frames>(c"__register_frame") {
            function(begin);
        }
    }
}

/// The unwinder's function, with the table struck off.
///
/// # Safety
/// As for the unwinder's function.
pub unsafe extern "C" fn deregister_frame(begin: *mut c_void) {
    gone(Entry::Frames { begin: begin.expose_provenance() });
    // SAFETY: the unwinder's function has this type, and by the caller's contract.
    unsafe {
        if let Some(function) = find::<Frames>(c"__deregister_frame") {
            function(begin);
        }
    }
}

type CreateTimer = unsafe extern "C" fn(c_int, *mut c_void, *mut *mut c_void) -> c_int;

/// `timer_create`, with the timer recorded.
///
/// # Safety
/// As for libc's function.
pub unsafe fn timer_create(clock: c_int, event: *mut c_void, timer: *mut *mut c_void) -> c_int {
    // SAFETY: libc's function has this type.
    let Some(function) = (unsafe { find::<CreateTimer>(c"timer_create") }) else { return -1 };
    // SAFETY: by the caller's contract; libc has written the timer where it returns 0.
    unsafe {
        let result = function(clock, event, timer);
        if result == 0 {
            made(Entry::Timer { timer: (*timer).expose_provenance() });
        }
        result
    }
}

type DeleteTimer = unsafe extern "C" fn(*mut c_void) -> c_int;

/// `timer_delete`, with the timer struck off.
///
/// # Safety
/// As for libc's function.
pub unsafe fn timer_delete(timer: *mut c_void) -> c_int {
    gone(Entry::Timer { timer: timer.expose_provenance() });
    // SAFETY: libc's function has this type, and by the caller's contract.
    unsafe { find::<DeleteTimer>(c"timer_delete").map_or(-1, |function| function(timer)) }
}

/// Takes back what is left. The app has stopped, and uses nothing of it any more.
pub(crate) fn take_back() {
    let entries = std::mem::take(&mut *left());
    for entry in entries {
        // SAFETY: the functions have these types; the entry was made by the app, and not taken back.
        unsafe {
            match entry {
                Entry::ExtraData { class, index } => {
                    if let Some(function) = find::<FreeIndex>(c"CRYPTO_free_ex_index") {
                        function(class, index);
                    }
                }
                Entry::Frames { begin } => {
                    if let Some(function) = find::<Frames>(c"__deregister_frame") {
                        function(std::ptr::with_exposed_provenance_mut(begin));
                    }
                }
                Entry::Timer { timer } => {
                    if let Some(function) = find::<DeleteTimer>(c"timer_delete") {
                        function(std::ptr::with_exposed_provenance_mut(timer));
                    }
                }
            }
        }
    }
}
