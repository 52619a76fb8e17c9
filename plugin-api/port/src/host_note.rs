//! Which host of a fleet has a request.

use std::sync::{Arc, Mutex, PoisonError};

/// Notes which host of a fleet a request goes to, for those who follow the request; its clones are the same.
#[derive(Clone, Debug, Default)]
pub struct HostNote(Arc<Mutex<Option<Arc<str>>>>);

impl HostNote {
    /// The host that was asked last; `None`: none was.
    pub fn get(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, host: Arc<str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
    }
}
