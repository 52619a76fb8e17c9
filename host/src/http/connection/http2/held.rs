//! What an HTTP/2 connection makes the host hold: heads of requests, and answers that the client has not taken.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::connection::limits::HTTP2_MAX_HELD;
use crate::http::connection::unsent::{Account, Budget};

/// The bytes of one connection.
pub(super) struct Held {
    heads: Cell<usize>,
    answers: Account,
    /// How many answers have a piece that the client has not taken.
    waiting: Cell<u32>,
    /// When the client last took one, or had none to take.
    taken: Cell<Instant>,
    changed: Notify,
}

/// A request's head, until it is answered.
pub(super) struct Head {
    held: Rc<Held>,
    bytes: usize,
}

/// An answer, as far as the client has not taken it.
pub(super) struct Untaken {
    held: Rc<Held>,
    bytes: usize,
    /// A piece of it waits for the client.
    waits: bool,
}

impl Held {
    pub(super) fn new(budget: &Rc<Budget>) -> Self {
        Self {
            heads: Cell::new(0),
            answers: Account::new(budget),
            waiting: Cell::new(0),
            taken: Cell::new(Instant::now()),
            changed: Notify::new(),
        }
    }

    /// Waits until the connection holds less than its limit, and counts a request's head as held.
    pub(super) async fn admit(self: &Rc<Self>, bytes: usize) -> Head {
        while !self.has_room() {
            self.changed.notified().await;
        }
        self.heads.set(self.heads.get() + bytes);
        // The next one that waits looks as well.
        self.changed.notify_one();
        Head { held: self.clone(), bytes }
    }

    fn has_room(&self) -> bool {
        self.heads.get() + self.answers.bytes() < HTTP2_MAX_HELD
    }

    /// Counts an answer as held.
    pub(super) fn hold(self: &Rc<Self>, bytes: usize) -> Untaken {
        self.answers.set(self.answers.bytes() + bytes);
        Untaken { held: self.clone(), bytes, waits: false }
    }

    /// How long the client has taken nothing of what there is for it.
    pub(super) fn stalled(&self, now: Instant) -> Duration {
        if self.waiting.get() == 0 { Duration::ZERO } else { now.saturating_duration_since(self.taken.get()) }
    }

    /// Waits until the connection has to be closed because it holds too much.
    pub(super) async fn exceeded(&self) {
        poll_fn(|context| self.answers.poll_exceeded(context)).await;
    }

    fn release(&self) {
        if self.has_room() {
            self.changed.notify_one();
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.held.heads.set(self.held.heads.get() - self.bytes);
        self.held.release();
    }
}

impl Untaken {
    /// Notes that a piece of it is handed over, and waits for the client.
    pub(super) fn hand_over(&mut self, bytes: usize) {
        self.release(bytes);
        self.waits = true;
        if self.held.waiting.get() == 0 {
            self.held.taken.set(Instant::now());
        }
        self.held.waiting.set(self.held.waiting.get() + 1);
    }

    /// Notes that the client has room for the next piece: it has taken the one before.
    pub(super) fn next(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.held.waiting.set(self.held.waiting.get() - 1);
            self.held.taken.set(Instant::now());
        }
    }

    fn release(&mut self, bytes: usize) {
        let released = bytes.min(self.bytes);
        self.bytes -= released;
        self.held.answers.set(self.held.answers.bytes().saturating_sub(released));
        self.held.release();
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        self.next();
        self.release(self.bytes);
    }
}
