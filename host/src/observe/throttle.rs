//! What is written to the log as often as clients and apps make it happen: so many times a second, and the rest is counted.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::observe::window::{Admission, Window};

/// Lets something pass so many times a second.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_second: NonZeroU32,
    window: Mutex<Window>,
}

impl Throttle {
    /// One that lets `per_second` pass, also at once.
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second, window: Mutex::default() }
    }

    /// Whether it may pass; how many were held back since the last that did.
    pub(crate) fn pass(&self) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        match window.admit(Instant::now(), self.per_second.get()) {
            Admission::Pass { left_out } => Some(left_out),
            Admission::LeftOut { .. } => None,
        }
    }
}
