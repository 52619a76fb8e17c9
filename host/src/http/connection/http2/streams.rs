//! The streams that are open on a connection.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

/// What is open on a connection.
pub(super) struct Streams {
    pub(super) open: Cell<u32>,
    /// When the last one ended.
    pub(super) used: Cell<Instant>,
    /// How many requests were cancelled of late.
    pub(super) cancelled: Cell<u32>,
    /// They are too many.
    pub(super) too_many_cancelled: Notify,
    pub(super) has_served: Cell<bool>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            open: Cell::new(0),
            used: Cell::new(Instant::now()),
            cancelled: Cell::new(0),
            too_many_cancelled: Notify::new(),
            has_served: Cell::new(false),
        }
    }
}

/// A stream that is open.
pub(super) struct Open(Rc<Streams>);

impl Open {
    pub(super) fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        streams.has_served.set(true);
        Self(streams.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.used.set(Instant::now());
    }
}
