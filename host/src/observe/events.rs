//! The events of a host, for live subscribers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::observe::entries::{FailureEntry, LeaseEntry, PanicEntry, TrafficEntry};
use crate::observe::history::HistoryEntry;

/// How many events may wait for one who follows them; a slower one misses some.
const FOLLOWED: usize = 1024;

/// Something that happened to an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostEvent {
    /// The app's name.
    pub app: String,
    /// What it was.
    #[serde(flatten)]
    pub what: EventKind,
}

/// What may happen to an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// One of its generations is in another state.
    Transition(HistoryEntry),
    /// It panicked.
    Panic(PanicEntry),
    /// A request could not be answered.
    Failure(FailureEntry),
    /// Its requests are split between versions in another way.
    Traffic(TrafficEntry),
    /// The host has got its lease in a fleet, or has it no more.
    Lease(LeaseEntry),
}

/// The channel on which events are published. A clone is the same one.
#[derive(Clone, Debug)]
pub struct EventBus(broadcast::Sender<Arc<HostEvent>>);

impl Default for EventBus {
    fn default() -> Self {
        Self(broadcast::Sender::new(FOLLOWED))
    }
}

impl EventBus {
    /// Tells those who follow, if there are any.
    pub(crate) fn tell(&self, app: &str, what: impl FnOnce() -> EventKind) {
        if self.0.receiver_count() > 0 {
            // The last one may have left just now.
            let _ = self.0.send(Arc::new(HostEvent { app: app.to_owned(), what: what() }));
        }
    }

    /// What happens from now on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<HostEvent>> {
        self.0.subscribe()
    }
}
