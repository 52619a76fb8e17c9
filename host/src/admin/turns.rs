//! Who changes the versions of an app has its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The turns of the apps. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl Turns {
    /// The turn to change an app.
    pub(super) fn of(&self, app: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody has or waits for.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(app.to_owned()).or_default().clone()
    }
}
