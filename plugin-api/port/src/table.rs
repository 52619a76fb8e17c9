//! The functions of the host's table ([`Host`](atoll_protocol::abi::Host)) that are about ports and buffers, of
//! whatever kind.
//!
//! Each one turns a handle into the worker's end that it names and calls its method. None panics: the methods do not, and a
//! panic here would end the process at the `extern "C"` edge.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atoll_protocol::abi::{Buffer, Buffers, Message, PortHandle, Received};

use crate::buffer;
use crate::worker_end::WorkerEnd;

/// Gives one count of a port away, as the handle that an app's `main` takes.
pub fn port_handle(port: Arc<WorkerEnd>) -> PortHandle {
    port.lent.fetch_add(1, Ordering::Relaxed);
    PortHandle(Arc::into_raw(port).cast())
}

/// Takes back the counts of a port that its library has not given up, as those in statics.
///
/// # Safety
/// The library is out of the process.
pub unsafe fn reclaim(port: &Arc<WorkerEnd>) {
    for _ in 0..port.lent.swap(0, Ordering::Relaxed) {
        // SAFETY: the library had this count, and nobody has it any more, by the caller's contract.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(port)) };
    }
}

/// # Safety
/// The handle is one of [`port_handle`], and the caller holds a count of it.
unsafe fn port<'a>(handle: PortHandle) -> &'a WorkerEnd {
    // SAFETY: by the caller's contract.
    unsafe { &*handle.0.cast::<WorkerEnd>() }
}

/// [`Host::buffer_copy`](atoll_protocol::abi::Host::buffer_copy).
///
/// # Safety
/// There are `len` bytes at `data`.
pub unsafe extern "C" fn buffer_copy(data: *const u8, len: usize) -> Buffer {
    // SAFETY: the caller's bytes live through the call.
    buffer::from_vec(unsafe { slice::from_raw_parts(data, len) }.to_vec())
}

/// [`Host::buffers_move`](atoll_protocol::abi::Host::buffers_move).
///
/// # Safety
/// There are `len` buffers at `data`, which the caller gives up.
pub unsafe extern "C" fn buffers_move(data: *mut Buffer, len: usize) -> Buffers {
    let mut buffers = Vec::with_capacity(len);
    // SAFETY: the caller gives up `len` initialised buffers and will not drop them.
    unsafe {
        std::ptr::copy_nonoverlapping(data, buffers.as_mut_ptr(), len);
        buffers.set_len(len);
    }
    buffer::list(buffers)
}

/// [`Host::port_receive`](atoll_protocol::abi::Host::port_receive).
///
/// # Safety
/// The handle is one of [`port_handle`], and the caller holds a count of it.
pub unsafe extern "C" fn port_receive(
    handle: PortHandle,
    timeout_ns: u64,
    message: &mut Message,
) -> Received {
    let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
    // SAFETY: the caller holds a count of the port.
    unsafe { port(handle) }.receive(timeout, message)
}

/// [`Host::port_send`](atoll_protocol::abi::Host::port_send).
///
/// # Safety
/// As for [`port_receive`].
pub unsafe extern "C" fn port_send(handle: PortHandle, message: Message) -> bool {
    // SAFETY: the caller holds a count of the port.
    unsafe { port(handle) }.send(message)
}

/// [`Host::port_wake`](atoll_protocol::abi::Host::port_wake).
///
/// # Safety
/// As for [`port_receive`].
pub unsafe extern "C" fn port_wake(handle: PortHandle) {
    // SAFETY: the caller holds a count of the port.
    unsafe { port(handle) }.wake();
}

/// [`Host::port_doorbell`](atoll_protocol::abi::Host::port_doorbell).
///
/// # Safety
/// As for [`port_receive`].
pub unsafe extern "C" fn port_doorbell(handle: PortHandle) -> i32 {
    // SAFETY: the caller holds a count of the port.
    unsafe { port(handle) }.doorbell()
}

/// [`Host::port_sleep`](atoll_protocol::abi::Host::port_sleep).
///
/// # Safety
/// As for [`port_receive`].
pub unsafe extern "C" fn port_sleep(handle: PortHandle) -> bool {
    // SAFETY: the caller holds a count of the port.
    unsafe { port(handle) }.sleep()
}

/// [`Host::port_running`](atoll_protocol::abi::Host::port_running).
///
/// # Safety
/// As for [`port_receive`].
pub unsafe extern "C" fn port_running(handle: PortHandle) -> *mut u64 {
    // SAFETY: the caller holds a count of the port.
    unsafe { port(handle) }.running().as_ptr()
}

/// [`Host::port_retain`](atoll_protocol::abi::Host::port_retain).
///
/// # Safety
/// As for [`port_receive`].
pub unsafe extern "C" fn port_retain(handle: PortHandle) {
    // SAFETY: the caller holds a count of the port.
    unsafe {
        port(handle).lent.fetch_add(1, Ordering::Relaxed);
        Arc::increment_strong_count(handle.0.cast::<WorkerEnd>());
    }
}

/// [`Host::port_release`](atoll_protocol::abi::Host::port_release).
///
/// # Safety
/// As for [`port_receive`]; the count is given up.
pub unsafe extern "C" fn port_release(handle: PortHandle) {
    // SAFETY: the caller gives up a count that it holds.
    let port = unsafe { Arc::from_raw(handle.0.cast::<WorkerEnd>()) };
    port.lent.fetch_sub(1, Ordering::Relaxed);
}
