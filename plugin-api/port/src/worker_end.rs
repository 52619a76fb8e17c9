//! The worker's end of a port within this process: what its functions in the host's table do.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use atoll_protocol::abi::{Message, Received};
use tokio::time::Instant;

use crate::call_sink::CallSink;
use crate::forked;
use crate::in_process::InProcess;
use crate::port::{Limits, Port};
use crate::transport::Item;
use crate::warnings::Warnings;

impl Port {
    /// A port to a worker of `app` on a thread of this process. It reports to `warnings` what the worker does against the
    /// protocol; `call_sink` carries out the worker's calls.
    pub fn new(
        app: Arc<str>,
        limits: Limits,
        warnings: Arc<dyn Warnings>,
        call_sink: Arc<dyn CallSink>,
    ) -> Arc<Self> {
        Self::with_transport(app, limits, warnings, call_sink, InProcess::default())
    }

    /// Brings the worker the next item; called on the worker's thread.
    pub fn receive(&self, timeout: Option<Duration>, into: &mut Message) -> Received {
        // Most calls only look, and need no clock.
        let looks_only = timeout == Some(Duration::ZERO);
        let until = timeout.filter(|_| !looks_only).and_then(|timeout| Instant::now().checked_add(timeout));
        let message = loop {
            match self.transport.outlet.try_recv() {
                Ok(Item::Wake) => break None,
                Ok(item) => match self.hand_out(item) {
                    Some(message) => break Some(message),
                    // Nobody waits for it any more.
                    None => continue,
                },
                Err(_empty) => {}
            }
            if self.is_closed() {
                return Received::Closed;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if looks_only || left == Some(Duration::ZERO) {
                return Received::TimedOut;
            }
            forked::end_child();
            self.transport.doorbell.wait(left, || self.nothing_there());
        };
        if self.is_closed() {
            return Received::Closed;
        }
        match message {
            Some(message) => {
                *into = message;
                Received::Message
            }
            None => {
                self.transport.woken.store(false, Ordering::SeqCst);
                Received::Woken
            }
        }
    }

    fn nothing_there(&self) -> bool {
        self.transport.outlet.is_empty() && !self.is_closed()
    }

    /// The descriptor that wakes an app with its own event loop.
    pub fn doorbell(&self) -> RawFd {
        self.transport.doorbell.descriptor()
    }

    /// Notes that the worker waits for its doorbell. `false`: it must not, something is there.
    pub fn sleep(&self) -> bool {
        forked::end_child();
        self.transport.doorbell.sleep(|| self.nothing_there())
    }

    /// Ends the worker's `receive`, once for any number of calls before it looks again.
    pub fn wake(&self) {
        if !self.transport.woken.swap(true, Ordering::SeqCst) {
            self.push(Item::Wake);
        }
    }
}
