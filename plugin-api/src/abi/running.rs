//! Which request a worker works for, noted where the host finds it when the worker crashes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::abi::port::Port;

/// Where a worker notes the number of the request whose code it runs.
pub(crate) struct Running {
    /// Keeps the place.
    _port: Port,
    place: &'static AtomicU64,
}

/// A number is noted as long as this lives; then the one before is.
pub(crate) struct Noted<'r> {
    place: &'r AtomicU64,
    before: u64,
}

impl Running {
    pub(crate) fn new(port: &Port) -> Self {
        let place = port.running_place();
        // SAFETY: the place is an atomic of the host's, which lives as long as the port, of which this holds a count.
        let place = unsafe { AtomicU64::from_ptr(place) };
        Self { _port: port.clone(), place }
    }

    /// Notes that the code of a request runs, or with 0 that of none, on the worker's thread.
    pub(crate) fn note(&self, id: u64) -> Noted<'_> {
        // Only the worker's thread writes it.
        let before = self.place.load(Ordering::Relaxed);
        self.place.store(id, Ordering::Relaxed);
        Noted { place: self.place, before }
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.place.store(self.before, Ordering::Relaxed);
    }
}
