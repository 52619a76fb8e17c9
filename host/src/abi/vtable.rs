//! The functions that the host gives to every library: [`Host`](abi::Host) filled in.
//!
//! Each one turns a handle into the object that it names and calls that object's method. None panics: the
//! methods do not, and a panic here would end the process at the `extern "C"` edge.

use std::slice;

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;
use atoll_plugin::abi::{Buffer, GenerationHandle, Host, HostRef, LogRecord, PanicReport, ThreadEvent};
use atoll_port::{forked, table};

use crate::abi::library_context::LibraryContext;
use crate::abi::thread_end::frame;
use crate::abi::{current, descriptors, panic_report, signals, thread_stop};
use crate::memory::buffer;
use crate::observe::console_line;

const TABLE: &WithMetadata<Host> = &WithMetadata::new(Host {
    heap_alloc,
    heap_alloc_zeroed,
    heap_realloc,
    heap_free,
    buffer_adopt,
    buffer_copy: table::buffer_copy,
    buffers_move: table::buffers_move,
    log_enabled,
    log_write,
    panic_report,
    thread_event,
    thread_frame: frame::function,
    thread_leave: frame::leave_from_library,
    thread_stack,
    key_event,
    descriptor_event,
    aborted,
    signal_action,
    port_receive: table::port_receive,
    port_send: table::port_send,
    port_wake: table::port_wake,
    port_doorbell: table::port_doorbell,
    port_sleep: table::port_sleep,
    port_running: table::port_running,
    port_retain: table::port_retain,
    port_release: table::port_release,
});

/// The host's functions, for [`Plugin::bind`](abi::Plugin::bind).
pub(crate) fn host() -> HostRef {
    forked::watch();
    signals::cover_apps();
    HostRef(TABLE.static_as_prefix())
}

/// # Safety
/// The handle is one of [`LibraryContext::handle`], and the context lives: the library that uses it is loaded.
unsafe fn context<'a>(handle: GenerationHandle) -> &'a LibraryContext {
    // SAFETY: by the caller's contract.
    unsafe { &*handle.0.cast::<LibraryContext>() }
}

unsafe extern "C" fn heap_alloc(generation: GenerationHandle, size: usize, align: usize) -> *mut u8 {
    // SAFETY: the library that calls is loaded.
    unsafe { context(generation) }.heap().alloc(size, align)
}

unsafe extern "C" fn heap_alloc_zeroed(generation: GenerationHandle, size: usize, align: usize) -> *mut u8 {
    // SAFETY: the library that calls is loaded.
    unsafe { context(generation) }.heap().alloc_zeroed(size, align)
}

unsafe extern "C" fn heap_realloc(
    generation: GenerationHandle,
    block: *mut u8,
    size: usize,
    align: usize,
    new: usize,
) -> *mut u8 {
    // SAFETY: the library that calls is loaded; the block is its own, by `GlobalAlloc`'s contract.
    unsafe { context(generation).heap().realloc(block, size, align, new) }
}

unsafe extern "C" fn heap_free(generation: GenerationHandle, block: *mut u8, size: usize) {
    // SAFETY: as for `heap_realloc`.
    unsafe { context(generation).heap().free(block, size) }
}

unsafe extern "C" fn buffer_adopt(
    generation: GenerationHandle,
    data: *mut u8,
    len: usize,
    capacity: usize,
) -> Buffer {
    // SAFETY: the library that calls is loaded, and gives up a vector of its allocator's.
    unsafe { buffer::from_heap(context(generation).heap(), data, len, capacity) }
}

unsafe extern "C" fn log_enabled(generation: GenerationHandle, level: u8, target: RStr<'_>) -> bool {
    // SAFETY: the library that calls is loaded.
    unsafe { context(generation) }.reports().is_enabled(level, target.as_str())
}

unsafe extern "C" fn log_write(generation: GenerationHandle, record: &LogRecord<'_>) {
    // SAFETY: the library that calls is loaded.
    let reports = unsafe { context(generation) }.reports();
    // A record of a logger has a place, or another target.
    let is_line = record.file.is_empty() && record.line == 0 && STREAMS.contains(&record.target.as_str());
    if !is_line {
        return reports.log(record);
    }
    let (level, text) = console_line::parse(&record.message);
    let level = level as u8;
    if reports.is_enabled(level, &record.target) {
        reports.log(&LogRecord { level, message: text.as_str().into(), ..*record });
    }
}

/// The targets of lines of standard output and standard error.
const STREAMS: [&str; 2] = ["stdout", "stderr"];

unsafe extern "C" fn panic_report(generation: GenerationHandle, report: &PanicReport<'_>) {
    // SAFETY: the library that calls is loaded, and its frames live through the call.
    unsafe {
        let frames = slice::from_raw_parts(report.frames, report.frame_count);
        panic_report::report(context(generation).reports(), report, frames);
    }
}

unsafe extern "C" fn thread_event(generation: GenerationHandle, event: ThreadEvent) {
    // SAFETY: the library that calls is loaded.
    current::thread_event(unsafe { context(generation) }, event);
}

unsafe extern "C" fn thread_stack(generation: GenerationHandle) -> usize {
    // SAFETY: the library that calls is loaded.
    unsafe { context(generation) }.thread_stack()
}

unsafe extern "C" fn key_event(generation: GenerationHandle, key: u32, created: bool) {
    // SAFETY: the library that calls is loaded.
    unsafe { context(generation) }.key_event(key, created);
}

unsafe extern "C" fn descriptor_event(generation: GenerationHandle, descriptor: i32, made: bool) {
    if made {
        // SAFETY: the library that calls is loaded.
        unsafe { context(generation) }.descriptors().made(descriptor);
    } else {
        descriptors::gone(descriptor);
    }
}

unsafe extern "C" fn aborted(generation: GenerationHandle, function: RStr<'_>) {
    // SAFETY: the library that calls is loaded.
    thread_stop::aborted(unsafe { context(generation) }, function.as_str());
}

unsafe extern "C" fn signal_action(
    generation: GenerationHandle,
    signal: i32,
    new: *const u8,
    old: *mut u8,
) -> i32 {
    // SAFETY: the library that calls is loaded, and keeps the contract of `sigaction`.
    unsafe { signals::sigaction(Some(context(generation)), signal, new.cast(), old.cast()) }
}
