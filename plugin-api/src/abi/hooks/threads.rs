//! Threads, which must have ended before the library is unloaded.

use std::ffi::{c_int, c_void};

use super::behind::behind;
use super::process;
use super::stack::with_stack;
use super::types::{StartRoutine, pthread_attr_t, pthread_t};
use crate::abi::ThreadEvent;
use crate::abi::link;

behind! {
    fn pthread_create(
        thread: *mut pthread_t,
        attributes: *const pthread_attr_t,
        start: StartRoutine,
        argument: *mut c_void,
    ) -> c_int;
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

/// What the host calls a start routine with.
type Frame = unsafe extern "C-unwind" fn(StartRoutine, *mut c_void) -> *mut c_void;

unsafe extern "C-unwind" fn run_thread(thread: *mut c_void) -> *mut c_void {
    thread_event(ThreadEvent::Started);
    #[cfg(feature = "tracing")]
    crate::abi::tracing::follow_thread();
    // SAFETY: `pthread_create` below made it of a box and gave it to this thread alone.
    let Thread { start, argument } = *unsafe { Box::from_raw(thread.cast::<Thread>()) };
    // SAFETY: by the contract of who has made the thread; the address is that of such a function.
    let result = unsafe {
        match link::get().map(|link| link.host.thread_frame()()) {
            Some(frame) => std::mem::transmute::<usize, Frame>(frame)(start, argument),
            None => start(argument),
        }
    };
    thread_event(ThreadEvent::Ending);
    result
}

type CreateThread =
    unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, StartRoutine, *mut c_void) -> c_int;

/// The function that shared libraries find: the host's, which knows by the calling thread whose the new one is.
fn of_shared_libraries() -> Option<CreateThread> {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"pthread_create".as_ptr()) };
    // SAFETY: the host's function and libc's have this type; null is `None`.
    unsafe { std::mem::transmute(found) }
}

/// `pthread_create`, with the thread counted.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: StartRoutine,
    argument: *mut c_void,
) -> c_int {
    if process::is_forked_child() {
        // SAFETY: by the caller's contract.
        return unsafe { real::pthread_create(thread, attributes, start, argument) };
    }
    // A constructor of the library's, which is not bound yet.
    if link::get().is_none()
        && let Some(create) = of_shared_libraries()
    {
        // SAFETY: by the caller's contract.
        return unsafe { create(thread, attributes, start, argument) };
    }
    thread_event(ThreadEvent::Starting);
    let boxed = Box::into_raw(Box::new(Thread { start, argument }));
    let create = |attributes| {
        // SAFETY: by the caller's contract; `run_thread` takes the box.
        unsafe { real::pthread_create(thread, attributes, run_thread, boxed.cast()) }
    };
    // SAFETY: the library is bound, and lives as long as its generation.
    let stack = link::get().map_or(0, |link| unsafe { link.host.thread_stack()(link.generation) });
    let result = with_stack(attributes, stack, create);
    if result != 0 {
        // SAFETY: the thread was not made, so the box is still ours.
        drop(unsafe { Box::from_raw(boxed) });
        thread_event(ThreadEvent::Failed);
    }
    result
}
