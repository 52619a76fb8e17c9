//! The requests of a worker, as a signal's handler finds them.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;

use crate::call_context::CallContext;
use crate::port::Port;

/// How often the lock on the pending requests is tried. Who holds it may be the thread that has crashed.
const ATTEMPTS: usize = 1000;

/// A request that a worker had when it crashed.
#[derive(Clone, Copy, Debug)]
pub struct RequestAtFault<'a> {
    /// Its number on the port.
    pub id: u64,
    /// Its id in logs.
    pub request_id: &'a str,
    /// What it asks for: the beginning of its method and path.
    pub line: &'a str,
}

impl Port {
    /// The number of the request whose code the worker runs now, if the worker notes that.
    pub fn running(&self) -> Option<u64> {
        Some(self.running.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// Shows all requests that the worker has taken and not answered to `see`. `false`: another thread holds their lock.
    ///
    /// For a signal's handler: it does not allocate, and waits for no lock.
    pub fn requests_at_fault(&self, mut see: impl FnMut(RequestAtFault<'_>)) -> bool {
        for _ in 0..ATTEMPTS {
            let pending = match self.pending.try_lock() {
                Ok(pending) => pending,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    std::thread::yield_now();
                    continue;
                }
            };
            for (id, pending) in pending.iter().flatten().filter(|(_, pending)| pending.clock.is_taken()) {
                // Without a context it is one of the host's own, such as `start`.
                if let Some(context) = &pending.context {
                    let (request_id, line) = (CallContext::request_id(context), context.request_line());
                    see(RequestAtFault { id: *id, request_id, line });
                }
            }
            return true;
        }
        false
    }
}
