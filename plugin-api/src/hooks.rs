//! What an app takes from the process that outlives its library, threads and pthread keys, and what would end it.
//!
//! `export_app!` defines `pthread_create`, `pthread_key_create`, `pthread_key_delete`, `abort` and `exit` in the
//! library, so that its own calls, also those of the C code in it, come here; the host is told, and libc's function is called.
//! The host waits for the threads before it unloads the library, and gives the keys back, which std never does.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::abi::ThreadEvent;
use crate::link;

type StartRoutine = extern "C" fn(*mut c_void) -> *mut c_void;
type KeyDestructor = Option<unsafe extern "C" fn(*mut c_void)>;

/// Keys made before the library was bound, each plus one; 0 is a free place.
static EARLY_KEYS: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];

/// libc's function of this name, behind the one that the library defines.
fn libc_function(name: &CStr) -> *mut c_void {
    // SAFETY: `name` is a C string; `RTLD_NEXT` looks behind the object that this code is in.
    let function = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if function.is_null() {
        // Without its own libc the library cannot go on; there is nobody to return an error to.
        // SAFETY: no preconditions.
        unsafe { libc::_exit(127) };
    }
    function
}

/// Tells the host of a key, or keeps it until there is a host.
fn key_event(key: u32, created: bool) {
    if let Some(link) = link::get() {
        // SAFETY: the function only keeps the number.
        unsafe { link.host.key_event()(link.generation, key, created) };
        return;
    }
    let (from, to) = if created { (0, key + 1) } else { (key + 1, 0) };
    for place in &EARLY_KEYS {
        if place.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Tells the host of the keys made before it was known.
pub(crate) fn report_early_keys() {
    for place in &EARLY_KEYS {
        if let Some(key) = place.swap(0, Ordering::AcqRel).checked_sub(1) {
            key_event(key, true);
        }
    }
}

/// `pthread_key_create`, with the key recorded.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_key_create(key: *mut u32, destructor: KeyDestructor) -> c_int {
    // SAFETY: libc's function has this type.
    let real: unsafe extern "C" fn(*mut u32, KeyDestructor) -> c_int =
        unsafe { std::mem::transmute(libc_function(c"pthread_key_create")) };
    // SAFETY: by the caller's contract.
    let result = unsafe { real(key, destructor) };
    if result == 0 {
        // SAFETY: libc has just written the key.
        key_event(unsafe { *key }, true);
    }
    result
}

/// `pthread_key_delete`, with the key struck off.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_key_delete(key: u32) -> c_int {
    // SAFETY: libc's function has this type.
    let real: unsafe extern "C" fn(u32) -> c_int =
        unsafe { std::mem::transmute(libc_function(c"pthread_key_delete")) };
    // SAFETY: by the caller's contract.
    let result = unsafe { real(key) };
    if result == 0 {
        key_event(key, false);
    }
    result
}

fn thread_event(event: ThreadEvent) {
    if let Some(link) = link::get() {
        // SAFETY: the function is called as `ThreadEvent` says.
        unsafe { link.host.thread_event()(link.generation, event) };
    }
}

struct Thread {
    start: StartRoutine,
    argument: *mut c_void,
}

extern "C" fn run_thread(thread: *mut c_void) -> *mut c_void {
    thread_event(ThreadEvent::Started);
    // SAFETY: `pthread_create` below made it of a box and gave it to this thread alone.
    let thread = *unsafe { Box::from_raw(thread.cast::<Thread>()) };
    let result = (thread.start)(thread.argument);
    thread_event(ThreadEvent::Ending);
    result
}

/// `pthread_create`, with the thread counted.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: StartRoutine,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        StartRoutine,
        *mut c_void,
    ) -> c_int;
    // SAFETY: libc's function has this type.
    let real: Create = unsafe { std::mem::transmute(libc_function(c"pthread_create")) };
    thread_event(ThreadEvent::Starting);
    let boxed = Box::into_raw(Box::new(Thread { start, argument }));
    // SAFETY: by the caller's contract; `run_thread` takes the box.
    let result = unsafe { real(thread, attributes, run_thread, boxed.cast()) };
    if result != 0 {
        // SAFETY: the thread was not made, so the box is still ours.
        drop(unsafe { Box::from_raw(boxed) });
        thread_event(ThreadEvent::Failed);
    }
    result
}

/// Ends the calling thread in the place of the process: the host is told, and the thread stops here for good. What it
/// held is not released; the host retires the generation and keeps it pinned. Comes back when there is no host yet.
fn stop_thread(function: &str) {
    let Some(link) = link::get() else { return };
    // SAFETY: the text lives through the call.
    unsafe { link.host.aborted()(link.generation, function.into()) };
    loop {
        std::thread::park();
    }
}

/// `abort`, for the calling thread only. So a panic that cannot unwind, as one in a `Drop` during another, or one in a
/// panic's message, does not take the host with it.
pub fn abort() -> ! {
    stop_thread("abort");
    // SAFETY: libc's function has this type.
    let real: unsafe extern "C" fn() -> ! = unsafe { std::mem::transmute(libc_function(c"abort")) };
    // SAFETY: no preconditions.
    unsafe { real() }
}

/// `exit`, for the calling thread only: an app is not to end the host.
pub fn exit(status: c_int) -> ! {
    stop_thread("exit");
    // SAFETY: libc's function has this type.
    let real: unsafe extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(libc_function(c"exit")) };
    // SAFETY: as for a call of libc's function.
    unsafe { real(status) }
}
