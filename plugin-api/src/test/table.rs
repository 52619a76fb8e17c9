//! What a host gives a library, given by the test: the functions of [`Host`].

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{ptr, slice};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

use super::buffer;
use super::journal::Journal;
use super::port::Port;
use crate::abi::link::{self, Link};
use crate::abi::{
    Buffer, Buffers, GenerationHandle, Host, HostRef, LogRecord, Message, PanicReport, PortHandle, Received,
    ThreadEvent,
};
use crate::abi::{hooks, logging};

/// Where blocks are aligned without a word.
const ALIGNED: usize = 16;

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
        buffer_copy,
        buffers_move,
        log_enabled,
        log_write,
        panic_report,
        thread_event,
        key_event,
        descriptor_event,
        aborted,
        signal_action,
        port_receive,
        port_send,
        port_wake,
        port_doorbell,
        port_sleep,
        port_retain,
        port_release,
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
            logging::install(log::LevelFilter::Info as u8);
        }
        bound
    })
}

/// What is logged on this thread is kept there from now on.
pub(super) fn keep_log(journal: Arc<Journal>) {
    JOURNAL.set(Some(journal));
}

/// The worker's end of a port.
pub(super) fn worker_end(port: &Arc<Port>) -> crate::abi::port::Port {
    let handle = PortHandle(Arc::into_raw(port.clone()).cast());
    // SAFETY: the count that was just made is given away, and `bind` was called.
    unsafe { crate::abi::port::Port::from_handle(handle) }
}

/// # Safety
/// The handle is one that [`worker_end`] made, and its count is held.
unsafe fn port<'a>(handle: PortHandle) -> &'a Port {
    // SAFETY: by the caller's contract the port lives.
    unsafe { &*handle.0.cast::<Port>() }
}

unsafe extern "C" fn heap_alloc(_: GenerationHandle, size: usize, align: usize) -> *mut u8 {
    if align <= ALIGNED {
        // SAFETY: no preconditions.
        return unsafe { libc::malloc(size) }.cast();
    }
    let mut block = ptr::null_mut();
    // SAFETY: an alignment above is a power of two and a multiple of a pointer's size.
    let failed = unsafe { libc::posix_memalign(&mut block, align, size) };
    if failed == 0 { block.cast() } else { ptr::null_mut() }
}

unsafe extern "C" fn heap_alloc_zeroed(app: GenerationHandle, size: usize, align: usize) -> *mut u8 {
    if align <= ALIGNED {
        // SAFETY: no preconditions.
        return unsafe { libc::calloc(1, size) }.cast();
    }
    // SAFETY: as for `heap_alloc`; a block has `size` bytes.
    unsafe {
        let block = heap_alloc(app, size, align);
        if !block.is_null() {
            block.write_bytes(0, size);
        }
        block
    }
}

unsafe extern "C" fn heap_realloc(
    app: GenerationHandle,
    block: *mut u8,
    size: usize,
    align: usize,
    new: usize,
) -> *mut u8 {
    if align <= ALIGNED {
        // SAFETY: all blocks are libc's.
        return unsafe { libc::realloc(block.cast(), new) }.cast();
    }
    // SAFETY: the new block is another one, and both have as many bytes as are copied.
    unsafe {
        let moved = heap_alloc(app, new, align);
        if !moved.is_null() {
            ptr::copy_nonoverlapping(block, moved, size.min(new));
            libc::free(block.cast());
        }
        moved
    }
}

unsafe extern "C" fn heap_free(_: GenerationHandle, block: *mut u8, _: usize) {
    // SAFETY: all blocks are libc's.
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

unsafe extern "C" fn buffer_copy(data: *const u8, len: usize) -> Buffer {
    // SAFETY: the caller gives `len` bytes.
    buffer::from_vec(unsafe { slice::from_raw_parts(data, len) }.to_vec())
}

unsafe extern "C" fn buffers_move(data: *mut Buffer, len: usize) -> Buffers {
    // SAFETY: the caller gives `len` buffers away.
    buffer::list((0..len).map(|index| unsafe { data.add(index).read() }).collect())
}

unsafe extern "C" fn log_enabled(_: GenerationHandle, _: u8, _: RStr<'_>) -> bool {
    // The level is compared before.
    true
}

unsafe extern "C" fn log_write(_: GenerationHandle, record: &LogRecord<'_>) {
    let level =
        log::Level::iter().nth(usize::from(record.level).wrapping_sub(1)).unwrap_or(log::Level::Trace);
    // The test's output has it, and shows it when the test fails.
    eprintln!("{level:5} {}: {}", record.target, record.message);
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

unsafe extern "C" fn key_event(_: GenerationHandle, _: u32, _: bool) {}

unsafe extern "C" fn descriptor_event(_: GenerationHandle, _: i32, _: bool) {}

unsafe extern "C" fn aborted(_: GenerationHandle, _: RStr<'_>) {}

unsafe extern "C" fn signal_action(_: GenerationHandle, signal: i32, new: *const u8, old: *mut u8) -> i32 {
    // SAFETY: by the caller's contract. A test's signals are its process's.
    unsafe { hooks::real_sigaction(signal, new.cast(), old.cast()) }
}

unsafe extern "C" fn port_receive(handle: PortHandle, timeout_ns: u64, message: &mut Message) -> Received {
    let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
    // SAFETY: the caller holds a count.
    unsafe { port(handle) }.receive(timeout, message)
}

unsafe extern "C" fn port_send(handle: PortHandle, message: Message) -> bool {
    // SAFETY: the caller holds a count.
    unsafe { port(handle) }.accept(message)
}

unsafe extern "C" fn port_wake(handle: PortHandle) {
    // SAFETY: the caller holds a count.
    unsafe { port(handle) }.wake();
}

unsafe extern "C" fn port_doorbell(handle: PortHandle) -> i32 {
    // SAFETY: the caller holds a count.
    unsafe { port(handle) }.doorbell()
}

unsafe extern "C" fn port_sleep(handle: PortHandle) -> bool {
    // SAFETY: the caller holds a count.
    unsafe { port(handle) }.sleep()
}

unsafe extern "C" fn port_retain(handle: PortHandle) {
    // SAFETY: the caller holds a count.
    unsafe { Arc::increment_strong_count(handle.0.cast::<Port>()) };
}

unsafe extern "C" fn port_release(handle: PortHandle) {
    // SAFETY: the caller holds a count, and gives it back.
    unsafe { Arc::decrement_strong_count(handle.0.cast::<Port>()) };
}
