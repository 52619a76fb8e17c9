//! A worker's end of its port.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use serde::Serialize;

use crate::abi::link::{self, Link};
use crate::abi::{Buffer, Message, PortHandle, Received};

/// A worker's end of its port: messages come from the host and go to it.
///
/// A clone is another handle to the same port.
#[derive(Debug)]
pub struct Port {
    handle: PortHandle,
}

/// What [`Port::receive`] brought.
#[derive(Debug)]
pub enum Event {
    /// A message of the host's.
    Message(Message),
    /// A [waker](Port::waker) of this port was woken.
    Woken,
    /// Nothing came in the time given.
    TimedOut,
    /// The host has closed the port: nothing more will come, and nothing can be sent.
    Closed,
}

/// The port is closed: the host no longer receives messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Port {
    /// Takes ownership of one reference to the port.
    ///
    /// # Safety
    /// The host has given this count away, and the library is bound to it.
    pub(crate) unsafe fn from_handle(handle: PortHandle) -> Self {
        Self { handle }
    }

    fn link(&self) -> &'static Link {
        link::get().expect("a port exists only in a library that is bound to its host")
    }

    /// Waits for the next event, at most for `timeout`; `None` waits as long as it takes.
    pub fn receive(&self, timeout: Option<Duration>) -> Event {
        let timeout = timeout.map_or(u64::MAX, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX - 1));
        let mut message = Message::default();
        // SAFETY: this object holds a count of the port.
        match unsafe { self.link().host.port_receive()(self.handle, timeout, &mut message) } {
            Received::Message => Event::Message(message),
            Received::Woken => Event::Woken,
            Received::TimedOut => Event::TimedOut,
            Received::Closed => Event::Closed,
        }
    }

    /// Sends a JSON-RPC message, and the buffers that it refers to.
    ///
    /// # Errors
    /// [`Closed`] when the host has closed the port.
    ///
    /// # Panics
    /// When `message` cannot be written as JSON; the types of [`protocol`](crate::protocol) always can.
    pub fn send(&self, message: &impl Serialize, transfer: Vec<Buffer>) -> Result<(), Closed> {
        self.send_json(
            serde_json::to_vec(message).expect("a message of the protocol can be written as JSON"),
            transfer,
        )
    }

    /// Sends a message that is written already.
    pub(crate) fn send_json(&self, json: Vec<u8>, transfer: Vec<Buffer>) -> Result<(), Closed> {
        let link = self.link();
        let transfer = link.buffers(transfer);
        self.send_message(Message { json: link.buffer(json), index: Buffer::default(), transfer })
    }

    /// As [`send_json`](Self::send_json), with one buffer or none.
    pub(crate) fn send_with(&self, json: Vec<u8>, buffer: Option<Buffer>) -> Result<(), Closed> {
        let link = self.link();
        let transfer = link.buffer_list(buffer);
        self.send_message(Message { json: link.buffer(json), index: Buffer::default(), transfer })
    }

    fn send_message(&self, message: Message) -> Result<(), Closed> {
        // SAFETY: this object holds a count of the port.
        if unsafe { self.link().host.port_send()(self.handle, message) } { Ok(()) } else { Err(Closed) }
    }

    /// Makes a buffer of a vector, to be sent: without a copy where the library allocates from the host's heap.
    pub fn buffer(&self, bytes: Vec<u8>) -> Buffer {
        self.link().buffer(bytes)
    }

    /// Makes a buffer of a copy of bytes, to be sent.
    pub fn copy(&self, bytes: &[u8]) -> Buffer {
        self.link().copy(bytes)
    }

    /// The port's doorbell, for an event loop of the app's own such as tokio's: a descriptor that becomes readable when
    /// something has come after [`sleep`](Self::sleep) has said yes. It is an eventfd: reading 8 bytes silences it. It is
    /// the host's, and open as long as the port.
    ///
    /// # Errors
    /// The host could not make one.
    pub fn doorbell(&self) -> std::io::Result<BorrowedFd<'_>> {
        // SAFETY: this object holds a count of the port.
        let descriptor = unsafe { self.link().host.port_doorbell()(self.handle) };
        if descriptor < 0 {
            return Err(std::io::Error::other("the host has no doorbell for the port"));
        }
        // SAFETY: the host keeps it open as long as the port lives, of which this object holds a count.
        Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
    }

    /// Says that [`receive`](Self::receive) will not be called before the [doorbell](Self::doorbell) rings. `false`:
    /// something is there to be received, and the doorbell will not ring for it.
    pub fn sleep(&self) -> bool {
        // SAFETY: this object holds a count of the port.
        unsafe { self.link().host.port_sleep()(self.handle) }
    }

    /// Where the host looks for the number of the request whose code the worker runs.
    pub(crate) fn running_place(&self) -> *mut u64 {
        // SAFETY: this object holds a count of the port.
        unsafe { self.link().host.port_running()(self.handle) }
    }

    /// A waker that ends a [`receive`](Self::receive) with [`Event::Woken`], from any thread.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::new(PortWaker(self.clone())))
    }
}

impl Clone for Port {
    fn clone(&self) -> Self {
        // SAFETY: this object holds a count of the port.
        unsafe { self.link().host.port_retain()(self.handle) };
        Self { handle: self.handle }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: this object holds a count of the port, and gives it back.
        unsafe { self.link().host.port_release()(self.handle) };
    }
}

struct PortWaker(Port);

impl Wake for PortWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // SAFETY: the port inside holds a count.
        unsafe { self.0.link().host.port_wake()(self.0.handle) };
    }
}
