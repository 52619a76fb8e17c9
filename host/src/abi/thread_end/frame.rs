//! A frame on a thread's stack to which it can return from any depth, without the frames above being unwound.

use std::cell::Cell;
use std::ffi::c_void;

/// What a thread begins with. It may end by `pthread_exit`, which unwinds.
pub(crate) type StartRoutine = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;

thread_local! {
    /// The stack pointer of the thread's frame; 0: it has none.
    static FRAME: Cell<usize> = const { Cell::new(0) };
}

/// Calls `start` with `argument`, in a frame that the thread can [`leave`] to; null if it has.
///
/// # Safety
/// As for a call of `start`. Nothing that runs in it, on this thread, is needed by code that runs after it has been left.
pub(crate) unsafe extern "C-unwind" fn run(start: StartRoutine, argument: *mut c_void) -> *mut c_void {
    // SAFETY: by the caller's contract; the place is this thread's.
    let result = unsafe { enter(start, argument, FRAME.with(Cell::as_ptr)) };
    FRAME.set(0);
    result
}

/// Returns from [`run`] on this thread, if it is in it; comes back otherwise.
///
/// Takes no lock and does not allocate.
pub(super) fn leave() {
    let frame = FRAME.replace(0);
    if frame != 0 {
        // SAFETY: `enter` has set it, and has not returned: `run` sets it to 0 after that.
        unsafe { return_to(frame) }
    }
}

/// Calls `f` in such a frame; `None`: the thread has left it.
///
/// # Safety
/// As for [`run`].
pub(crate) unsafe fn within<T>(f: impl FnOnce() -> T) -> Option<T> {
    struct Call<F, T> {
        f: Option<F>,
        result: Option<T>,
    }

    unsafe extern "C-unwind" fn call<F: FnOnce() -> T, T>(argument: *mut c_void) -> *mut c_void {
        // SAFETY: `within` gives its own.
        let call = unsafe { &mut *argument.cast::<Call<F, T>>() };
        call.result = call.f.take().map(|f| f());
        argument
    }

    fn routine<F: FnOnce() -> T, T>(_: &Call<F, T>) -> StartRoutine {
        call::<F, T>
    }

    let mut place = Call { f: Some(f), result: None };
    let routine = routine(&place);
    // SAFETY: by the caller's contract.
    unsafe { run(routine, (&raw mut place).cast()) };
    place.result
}

/// For the library's table: see [`Host::thread_frame`](atoll_plugin::abi::Host::thread_frame).
pub(crate) extern "C" fn function() -> usize {
    run as unsafe extern "C-unwind" fn(StartRoutine, *mut c_void) -> *mut c_void as usize
}

/// For the library's table: see [`Host::thread_leave`](atoll_plugin::abi::Host::thread_leave).
pub(crate) extern "C" fn leave_from_library() {
    leave();
}

#[cfg(target_arch = "x86_64")]
use self::x86_64::{enter, return_to};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::ffi::c_void;

    use super::StartRoutine;

    // What a called function has to preserve, by the System V ABI for x86-64, is kept in the frame.
    std::arch::global_asm!(
        ".pushsection .text.atoll_thread_enter,\"ax\",@progbits",
        ".hidden atoll_thread_enter",
        ".globl atoll_thread_enter",
        ".type atoll_thread_enter,@function",
        "atoll_thread_enter:",
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        ".cfi_offset rbx, -24",
        ".cfi_offset r12, -32",
        ".cfi_offset r13, -40",
        ".cfi_offset r14, -48",
        ".cfi_offset r15, -56",
        "mov [rdx], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "2:",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        ".size atoll_thread_enter, . - atoll_thread_enter",
        ".hidden atoll_thread_return_to",
        ".globl atoll_thread_return_to",
        ".type atoll_thread_return_to,@function",
        "atoll_thread_return_to:",
        "mov rsp, rdi",
        "lea rbp, [rdi + 48]",
        "xor eax, eax",
        "cld",
        "jmp 2b",
        ".size atoll_thread_return_to, . - atoll_thread_return_to",
        ".popsection",
    );

    // SAFETY: the declarations are those of the functions above.
    unsafe extern "C-unwind" {
        /// Stores the stack pointer of its frame at the place, and calls `start` with `argument`.
        #[link_name = "atoll_thread_enter"]
        pub(super) fn enter(start: StartRoutine, argument: *mut c_void, frame: *mut usize) -> *mut c_void;

        /// Returns null from the call of `enter` that has stored this.
        #[link_name = "atoll_thread_return_to"]
        pub(super) fn return_to(frame: usize) -> !;
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe extern "C-unwind" fn enter(
    start: StartRoutine,
    argument: *mut c_void,
    _frame: *mut usize,
) -> *mut c_void {
    // SAFETY: by the caller's contract.
    unsafe { start(argument) }
}

/// # Safety
/// None is needed: no frame is stored here.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn return_to(_frame: usize) -> ! {
    unreachable!("no frame is stored")
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    unsafe extern "C-unwind" fn returns(argument: *mut c_void) -> *mut c_void {
        argument
    }

    unsafe extern "C-unwind" fn leaves(argument: *mut c_void) -> *mut c_void {
        fn deep(left: usize) -> usize {
            if left == 0 {
                leave();
                return 0;
            }
            std::hint::black_box(deep(left - 1)) + left
        }
        std::hint::black_box(deep(argument as usize)) as *mut c_void
    }

    unsafe extern "C-unwind" fn panics(_: *mut c_void) -> *mut c_void {
        std::panic::resume_unwind(Box::new("through the frame"))
    }

    #[test]
    fn a_function_returns_or_is_left_from_any_depth() {
        let number = std::ptr::without_provenance_mut(100);
        for _ in 0..3 {
            // SAFETY: the functions own nothing.
            unsafe {
                assert_eq!(run(returns, number), number);
                assert!(run(leaves, number).is_null());
            }
        }
        // There is no frame.
        leave();
    }

    #[test]
    fn what_unwinds_passes_through() {
        // SAFETY: the function owns nothing.
        let ended = std::panic::catch_unwind(|| unsafe { run(panics, std::ptr::null_mut()) }.is_null());
        assert_eq!(ended.unwrap_err().downcast_ref(), Some(&"through the frame"));
    }

    #[test]
    fn a_thread_that_leaves_runs_the_destructors_of_its_thread_locals() {
        use std::sync::mpsc::{Sender, channel};

        struct Tells(Sender<()>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        thread_local!(static TELLS: Cell<Option<Tells>> = const { Cell::new(None) });

        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            TELLS.set(Some(Tells(tell)));
            // SAFETY: the function owns nothing.
            unsafe { run(leaves, std::ptr::without_provenance_mut(10)) }.is_null()
        });
        assert!(thread.join().unwrap());
        told.recv().unwrap();
    }
}
