//! Panics: reported to the host, never let through to it.

use std::any::Any;
use std::cell::Cell;
use std::ffi::c_void;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::abi::PanicReport;
use crate::abi::hooks::{process, unwinder};
use crate::abi::{link, logging};

/// How many frames a report carries at most.
const MAX_FRAMES: usize = 128;

struct Frames {
    addresses: [usize; MAX_FRAMES],
    len: usize,
}

extern "C" fn push_frame(context: *mut c_void, frames: *mut c_void) -> i32 {
    // SAFETY: `capture` gives its own `Frames`, for the time of the walk.
    let frames = unsafe { &mut *frames.cast::<Frames>() };
    let Some(place) = frames.addresses.get_mut(frames.len) else { return unwinder::END_OF_STACK };
    // SAFETY: the unwinder gives a context that is valid for this call.
    *place = unsafe { unwinder::_Unwind_GetIP(context) };
    frames.len += 1;
    unwinder::CONTINUE
}

fn capture() -> Frames {
    let mut frames = Frames { addresses: [0; MAX_FRAMES], len: 0 };
    // SAFETY: `push_frame` is called with the pointer given here, during this call only.
    unsafe { unwinder::_Unwind_Backtrace(push_frame, (&raw mut frames).cast()) };
    frames
}

/// Makes the host report this library's panics. Only addresses are taken here: resolving them in the library would
/// keep its debug information in memory.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(report));
}

/// Has panics reported before a hook is called that the app has set instead, once.
pub(crate) fn cover_hook() {
    static ONCE: Once = Once::new();
    if link::get().is_none_or(|link| link.is_test) {
        return;
    }
    ONCE.call_once(|| {
        let set_by_app = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            report(info);
            IS_REPORTED.set(true);
            set_by_app(info);
            IS_REPORTED.set(false);
        }));
    });
}

thread_local! {
    /// Whether the hook below that of [`cover_hook`] is called, which may be [`report`], too.
    static IS_REPORTED: Cell<bool> = const { Cell::new(false) };
}

fn report(info: &PanicHookInfo<'_>) {
    let Some(link) = link::get() else { return };
    if IS_REPORTED.get() || logging::is_in_the_way(payload_text(info.payload())) {
        return;
    }
    if process::is_forked_child() {
        return report_in_child(info);
    }
    let frames = capture();
    let (file, line, column) =
        info.location().map_or(("", 0, 0), |place| (place.file(), place.line(), place.column()));
    let report = PanicReport {
        message: payload_text(info.payload()).into(),
        file: file.into(),
        line,
        column,
        frames: frames.addresses.as_ptr(),
        frame_count: frames.len,
    };
    // SAFETY: all that the report borrows lives through the call.
    unsafe { link.host.panic_report()(link.generation, &report) };
}

/// A forked child has no host, and must not wait for a lock of it, nor allocate: the text goes to standard error.
fn report_in_child(info: &PanicHookInfo<'_>) {
    struct StandardError;
    impl Write for StandardError {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            // SAFETY: the pointer and length are those of `text`.
            let written = unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
            if written < 0 { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let text = payload_text(info.payload());
    // A child without standard error has nowhere to report it.
    let _ = match info.location() {
        Some(place) => writeln!(StandardError, "a forked child panicked at {place}: {text}"),
        None => writeln!(StandardError, "a forked child panicked: {text}"),
    };
}

/// A panic's text, when it has one.
pub(crate) fn payload_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}

/// The status of a program that has panicked, as std gives it.
const PANICKED: i32 = 101;

/// Runs `f`; a panic becomes its text. A panic in the payload's own drop is caught too. A forked child that panics does
/// not come back from here: it exits as any program does, and does not continue as a copy of the worker.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        if process::is_forked_child() {
            // SAFETY: no preconditions.
            unsafe { libc::_exit(PANICKED) };
        }
        let text = payload_text(&*payload).to_owned();
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        text
    })
}
