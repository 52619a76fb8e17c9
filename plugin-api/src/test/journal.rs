//! What an app logs.

use std::sync::{Mutex, PoisonError};

use log::Level;

/// The records of one app.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Vec<(Level, String)>>);

impl Journal {
    pub(super) fn add(&self, level: Level, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((level, message.to_owned()));
    }

    pub(super) fn records(&self) -> Vec<(Level, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
