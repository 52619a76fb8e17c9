//! What a host gives a library, given by the test: the functions of [`Host`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, OnceLock};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;
use atoll_port::{WorkerEnd, table};

use super::journal::Journal;
use crate::abi::hooks::types::StartRoutine;
use crate::abi::link::{self, Link};
use crate::abi::{
    Buffer, GenerationHandle, Host, HostRef, LogRecord, PanicReport, ThreadEvent, hooks, logging,
};

thread_local! {
    /// What the app on this thread logs.
    static JOURNAL: RefCell<Option<Arc<Journal>>> = const { RefCell::new(None) };
}

/// Whether this program could be bound to a test.
static BOUND: OnceLock<bool> = OnceLock::new();

struct Table;

impl Table {
    const HOST: &'static WithMetadata<Host> = &WithMetadata::new(Host {
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
        thread_frame,
        thread_leave,
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
}

/// Binds this program as if it were a library in a host; `false`: it is a library, and bound to its host.
///
/// Panics are reported as the test's program does: its hook is left as it is.
pub(super) fn bind() -> bool {
    *BOUND.get_or_init(|| {
        let host = HostRef(Table::HOST.static_as_prefix());
        // What allocates the program's vectors is not known here, so they are copied at the port.
        let bound = link::set(Link {
            host,
            generation: GenerationHandle(ptr::null()),
            host_heap: false,
            is_test: true,
        });
        if bound {
            hooks::find_libc_functions();
            logging::set_max_level(log::LevelFilter::Info as u8);
            logging::install();
        }
        bound
    })
}

/// What is logged on this thread is kept there from now on.
pub(super) fn keep_log(journal: Arc<Journal>) {
    JOURNAL.set(Some(journal));
}

/// The worker's end of a port.
pub(super) fn worker_end(end: Arc<WorkerEnd>) -> crate::abi::port::Port {
    // SAFETY: the count is given away, and `bind` was called.
    unsafe { crate::abi::port::Port::from_handle(table::port_handle(end)) }
}

/// # Safety
/// As for `GlobalAlloc`: the alignment is a power of two.
unsafe fn layout(size: usize, align: usize) -> Layout {
    // SAFETY: by the caller's contract; what is too large is refused by the allocator.
    unsafe { Layout::from_size_align_unchecked(size, align) }
}

unsafe extern "C" fn heap_alloc(_: GenerationHandle, size: usize, align: usize) -> *mut u8 {
    // SAFETY: as for `GlobalAlloc`, whose contract the caller keeps.
    unsafe { System.alloc(layout(size, align)) }
}

unsafe extern "C" fn heap_alloc_zeroed(_: GenerationHandle, size: usize, align: usize) -> *mut u8 {
    // SAFETY: as for `heap_alloc`.
    unsafe { System.alloc_zeroed(layout(size, align)) }
}

unsafe extern "C" fn heap_realloc(
    _: GenerationHandle,
    block: *mut u8,
    size: usize,
    align: usize,
    new: usize,
) -> *mut u8 {
    // SAFETY: as for `heap_alloc`; all blocks are the system's.
    unsafe { System.realloc(block, layout(size, align), new) }
}

unsafe extern "C" fn heap_free(_: GenerationHandle, block: *mut u8, _: usize) {
    // SAFETY: the system's blocks are libc's, of whatever alignment.
    unsafe { libc::free(block.cast()) };
}

unsafe extern "C" fn buffer_adopt(_: GenerationHandle, data: *mut u8, len: usize, capacity: usize) -> Buffer {
    unsafe extern "C" fn release(_: *const u8, data: *mut u8, _: usize, _: usize) {
        // SAFETY: all blocks are libc's.
        unsafe { libc::free(data.cast()) };
    }
    // SAFETY: the block is given away by the caller.
    unsafe { Buffer::from_raw_parts(data, len, capacity, ptr::null(), release) }
}

unsafe extern "C" fn log_enabled(_: GenerationHandle, _: u8, _: RStr<'_>) -> bool {
    // The level is compared before.
    true
}

unsafe extern "C" fn log_write(_: GenerationHandle, record: &LogRecord<'_>) {
    let level =
        log::Level::iter().nth(usize::from(record.level).wrapping_sub(1)).unwrap_or(log::Level::Trace);
    // The test's output has it, and shows it when the test fails.
    let space = if record.fields.is_empty() { "" } else { " " };
    eprintln!("{level:5} {}: {}{space}{}", record.target, record.message, record.fields);
    JOURNAL.with_borrow(|journal| {
        if let Some(journal) = journal {
            journal.add(level, record.message.as_str());
        }
    });
}

unsafe extern "C" fn panic_report(_: GenerationHandle, report: &PanicReport<'_>) {
    eprintln!("panicked at {}:{}: {}", report.file, report.line, report.message);
}

unsafe extern "C" fn thread_event(_: GenerationHandle, _: ThreadEvent) {}

extern "C" fn thread_frame() -> usize {
    unsafe extern "C-unwind" fn call(start: StartRoutine, argument: *mut c_void) -> *mut c_void {
        // SAFETY: by the caller's contract.
        unsafe { start(argument) }
    }
    call as unsafe extern "C-unwind" fn(StartRoutine, *mut c_void) -> *mut c_void as usize
}

/// The threads of a test end by themselves.
extern "C" fn thread_leave() {}

/// As much as the system gives.
unsafe extern "C" fn thread_stack(_: GenerationHandle) -> usize {
    0
}

unsafe extern "C" fn key_event(_: GenerationHandle, _: u32, _: bool) {}

unsafe extern "C" fn descriptor_event(_: GenerationHandle, _: i32, _: bool) {}

unsafe extern "C" fn aborted(_: GenerationHandle, _: RStr<'_>) {}

unsafe extern "C" fn signal_action(_: GenerationHandle, signal: i32, new: *const u8, old: *mut u8) -> i32 {
    // SAFETY: by the caller's contract. A test's signals are its process's.
    unsafe { hooks::real_sigaction(signal, new.cast(), old.cast()) }
}
