//! Functions of libc that the program defines for all shared libraries in the process.
//!
//! What an app's own code calls is seen by the hooks in the app. A shared library that it brings (OpenSSL, libstdc++) is
//! loaded once for all apps, and when it makes a thread or calls `abort`, only the calling thread tells for which of them:
//! that is the generation that the thread runs for.
//!
//! The dynamic linker looks for a function in the program first, and a linker exports what a program defines under a name
//! that one of its shared libraries has too. So it is enough to define them, and every program that this crate is linked
//! into does. The definitions are weak: a program may have others.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;

use atoll_plugin::abi::ThreadEvent;
use atoll_plugin::hooks::stack::with_stack;
use libc::{pid_t, pthread_attr_t, pthread_t};

use crate::abi::behind::Behind;
use crate::abi::fault::alternate_stack;
use crate::abi::library_context::LibraryContext;
use crate::abi::thread_end::frame::{self, StartRoutine};
use crate::abi::{current, forks, thread_stop, threads};

/// Defines functions of this module under the same names of libc's. Rust has no way to define a weak one.
macro_rules! export {
    ($($name:ident),* $(,)?) => {
        $(
            std::arch::global_asm!(
                concat!(".pushsection .text.", stringify!($name), ",\"ax\",@progbits"),
                concat!(".weak ", stringify!($name)),
                concat!(".type ", stringify!($name), ",@function"),
                concat!(stringify!($name), ":"),
                atoll_plugin::__jump!(),
                concat!(".size ", stringify!($name), ", . - ", stringify!($name)),
                ".popsection",
                function = sym $name,
            );
        )*
    };
}

mod denials;
mod signals;

export! { __assert_fail, _Exit, _exit, abort, exit, fork, pthread_create, quick_exit }

/// What to do where they are not [in force](in_force).
pub const REMEDY: &str =
    "this program must not define `pthread_create` itself, nor be linked with an app, which does";

/// Whether the shared libraries of this process find these functions. They do not where the program, or an app that is linked
/// into it, defines `pthread_create` itself.
pub fn in_force() -> bool {
    let this: CreateThread = pthread_create;
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"pthread_create".as_ptr()) };
    let (found, this) = (object_of(found), object_of(this as *const c_void));
    found.is_some() && found == this
}

/// Where the program or library begins that an address is in.
pub(crate) fn object_of(address: *const c_void) -> Option<*mut c_void> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for, there is room for the answer, and all zeros are one.
    unsafe { (libc::dladdr(address, info.as_mut_ptr()) != 0).then(|| info.assume_init().dli_fbase) }
}

static ABORT: Behind = Behind::new(c"abort");
static ASSERT_FAIL: Behind = Behind::new(c"__assert_fail");
static EXIT: Behind = Behind::new(c"exit");
static EXIT_NOW: Behind = Behind::new(c"_exit");
static FORK: Behind = Behind::new(c"fork");
static PTHREAD_CREATE: Behind = Behind::new(c"pthread_create");
static QUICK_EXIT: Behind = Behind::new(c"quick_exit");

/// The library of this context is about to be opened: does what has to be done before any of its code runs.
pub(crate) fn prepare(context: &LibraryContext) {
    find_libc_functions();
    // A constructor may fault.
    crate::abi::signals::cover_apps();
    if in_force() {
        context.note_strangers();
    }
}

/// Looks libc's functions up. A forked child cannot: another thread may have been in the dynamic linker when it was made,
/// with a lock that nobody releases in the child.
fn find_libc_functions() {
    for function in [&ABORT, &ASSERT_FAIL, &EXIT, &EXIT_NOW, &FORK, &PTHREAD_CREATE, &QUICK_EXIT] {
        function.find();
    }
    denials::find_libc_functions();
}

type CreateThread =
    unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, StartRoutine, *mut c_void) -> c_int;

/// What a thread begins with.
struct Thread {
    /// The generation that it runs for; null for a thread of the host.
    context: *const LibraryContext,
    start: StartRoutine,
    argument: *mut c_void,
}

unsafe extern "C-unwind" fn run_thread(thread: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` below made it of a box and gave it to this thread alone.
    let Thread { context, start, argument } = *unsafe { Box::from_raw(thread.cast::<Thread>()) };
    // SAFETY: a thread that is being made, or runs, keeps its generation from being unloaded.
    let context = unsafe { context.as_ref() };
    match context {
        Some(context) => current::thread_event(context, ThreadEvent::Started),
        None => {
            alternate_stack::ensure();
            threads::begun();
        }
    }
    // SAFETY: by the contract of who has made the thread.
    let result = unsafe {
        match context {
            Some(_) => frame::run(start, argument),
            None => start(argument),
        }
    };
    match context {
        Some(context) => current::thread_event(context, ThreadEvent::Ending),
        // One that has come to run for a generation since (a worker) still runs destructors of thread-locals of the app's.
        None if current::with(|_| ()).is_some() => {}
        None => threads::ended(),
    }
    result
}

/// `pthread_create`, with the new thread booked on the generation that the calling one runs for.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: StartRoutine,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: libc's function has this type.
    let create: CreateThread = unsafe { std::mem::transmute(PTHREAD_CREATE.find()) };
    if current::is_forked_child() {
        // SAFETY: by the caller's contract.
        return unsafe { create(thread, attributes, start, argument) };
    }
    let context = current::with(|context| {
        current::thread_event(context, ThreadEvent::Starting);
        ptr::from_ref(context)
    });
    let new = Box::into_raw(Box::new(Thread { context: context.unwrap_or(ptr::null()), start, argument }));
    let stack = current::with(LibraryContext::thread_stack).unwrap_or(0);
    let create = |attributes| {
        // SAFETY: by the caller's contract; `run_thread` takes the box.
        unsafe { create(thread, attributes, run_thread, new.cast()) }
    };
    let result = with_stack(attributes, stack, create);
    if result != 0 {
        // SAFETY: the thread was not made, so the box is still this one's.
        drop(unsafe { Box::from_raw(new) });
        current::with(|context| current::thread_event(context, ThreadEvent::Failed));
    }
    result
}

/// `fork`, while no library is being closed.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn fork() -> pid_t {
    // SAFETY: libc's function has this type.
    let fork: unsafe extern "C" fn() -> pid_t = unsafe { std::mem::transmute(FORK.find()) };
    forks::begin();
    // SAFETY: by the caller's contract.
    let child = unsafe { fork() };
    forks::end(child == 0);
    child
}

/// Ends the calling thread instead of the process, if it runs for a generation. Not where the dynamic linker waits
/// for it to return: nothing could be loaded any more.
fn stop_thread(function: &str) {
    if current::is_in_linker() {
        current::with(|context| {
            log::error!(
                "{}#{} calls {function} while its library is opened or closed, which terminates the host",
                context.app(),
                context.generation()
            );
        });
        return;
    }
    if current::with(|context| thread_stop::aborted(context, function)).is_some() {
        loop {
            std::thread::park();
        }
    }
}

/// `abort`, on a thread of an app's for that thread only.
///
/// # Safety
/// None is needed; all these functions are called in the same way.
unsafe extern "C" fn abort() -> ! {
    stop_thread("abort");
    // SAFETY: libc's function has this type.
    let abort: unsafe extern "C" fn() -> ! = unsafe { std::mem::transmute(ABORT.find()) };
    // SAFETY: no preconditions.
    unsafe { abort() }
}

/// `exit`, on a thread of an app's for that thread only.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn exit(status: c_int) -> ! {
    stop_thread("exit");
    if current::is_forked_child() && current::with_in_child(|_| ()).is_some() {
        // The exit handlers are the host's and other apps', and this is a copy of them.
        // SAFETY: by the caller's contract; glibc frees the locks of its streams at a fork.
        unsafe {
            libc::fflush(ptr::null_mut());
            _exit(status)
        }
    }
    // SAFETY: libc's function has this type.
    let exit: unsafe extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(EXIT.find()) };
    // SAFETY: by the caller's contract.
    unsafe { exit(status) }
}

/// `_exit`, on a thread of an app's for its generation only.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn _exit(status: c_int) -> ! {
    stop_thread("_exit");
    // SAFETY: libc's function has this type.
    let exit: unsafe extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(EXIT_NOW.find()) };
    // SAFETY: by the caller's contract.
    unsafe { exit(status) }
}

/// As [`_exit`].
///
/// # Safety
/// As for libc's function.
#[expect(non_snake_case, reason = "its name in libc")]
unsafe extern "C" fn _Exit(status: c_int) -> ! {
    // SAFETY: by the caller's contract.
    unsafe { _exit(status) }
}

/// `quick_exit`, on a thread of an app's for its generation only.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn quick_exit(status: c_int) -> ! {
    stop_thread("quick_exit");
    // SAFETY: libc's function has this type.
    let exit: unsafe extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(QUICK_EXIT.find()) };
    // SAFETY: by the caller's contract.
    unsafe { exit(status) }
}

/// What C's `assert` calls, whose `abort` is libc's own.
///
/// # Safety
/// As for libc's function: all texts are C strings, or null.
unsafe extern "C" fn __assert_fail(
    assertion: *const c_char,
    file: *const c_char,
    line: c_uint,
    function: *const c_char,
) -> ! {
    type Function = unsafe extern "C" fn(*const c_char, *const c_char, c_uint, *const c_char) -> !;
    stop_thread("abort, by an assertion that does not hold,");
    // SAFETY: libc's function has this type.
    let fail = unsafe { std::mem::transmute::<*mut c_void, Function>(ASSERT_FAIL.find()) };
    // SAFETY: by the caller's contract.
    unsafe { fail(assertion, file, line, function) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_libraries_find_them() {
        assert!(in_force());
        let this = object_of(in_force as fn() -> bool as *const c_void);
        for name in [c"abort", c"exit", c"fork", c"pthread_create"] {
            // SAFETY: the name is a C string.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            assert_eq!(object_of(found), this, "{name:?}");
        }
    }
}
