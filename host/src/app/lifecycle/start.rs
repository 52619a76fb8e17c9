//! How a generation is to be started.

use std::time::Duration;

use super::event::Number;
use crate::library::content_hash::ContentHash;

/// How the next generation is to be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// When the change was noticed that it brings into force.
    pub noticed: Option<Duration>,
    /// Whether it replaces a generation with the same library and environment.
    pub is_forced: bool,
    /// The content of an earlier library, to start instead of the one on disk.
    pub rollback: Option<ContentHash>,
    /// Whether it replaces a generation whose heap had grown too large.
    pub relieves_heap: bool,
}

impl Start {
    /// Whether nothing has asked for this start but a call: nothing is lost without it.
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A generation that is starting.
#[derive(Clone, Debug)]
pub(super) struct Starting {
    pub(super) number: Number,
    pub(super) start: Start,
    /// A worker of it has exited already: why.
    pub(super) exit: Option<String>,
}
