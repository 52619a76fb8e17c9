//! What happened to an app's generations, kept in bounded memory.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::observe::unix_time::millis;

/// How many transitions of an app are kept.
const KEPT: usize = 64;

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its library was copied.
    Staged,
    /// The copy was read and found good.
    Inspected,
    /// It was opened in another process, now or before.
    Preflighted,
    /// It is open in the process.
    Loaded,
    /// Its workers are starting.
    Starting,
    /// It gets new requests.
    Serving,
    /// It finishes what it has.
    Draining,
    /// Its workers have ended.
    Stopped,
    /// Nothing of it is left.
    Unloaded,
    /// It is kept in the process, because it cannot be unloaded safely.
    Pinned,
    /// It failed to start.
    Refused,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Staged => "staged",
            Self::Inspected => "inspected",
            Self::Preflighted => "preflighted",
            Self::Loaded => "loaded",
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Unloaded => "unloaded",
            Self::Pinned => "pinned",
            Self::Refused => "refused",
        })
    }
}

/// One step in a generation's life.
#[derive(Clone, Debug)]
pub struct Transition {
    /// When.
    pub at: SystemTime,
    /// Whose.
    pub generation: u64,
    /// To which state.
    pub state: State,
    /// Why, or with what result.
    pub reason: String,
}

/// A [`Transition`] as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Whose.
    pub generation: u64,
    /// To which state.
    pub state: String,
    /// Why.
    pub reason: String,
}

impl HistoryEntry {
    /// What came of the last load among these transitions.
    pub(crate) fn of_last_load(history: &[Transition]) -> Option<Self> {
        let loads = |entry: &&Transition| matches!(entry.state, State::Serving | State::Refused);
        history.iter().rev().find(loads).map(Self::from)
    }
}

impl From<&Transition> for HistoryEntry {
    fn from(transition: &Transition) -> Self {
        Self {
            at_ms: millis(transition.at),
            generation: transition.generation,
            state: transition.state.to_string(),
            reason: transition.reason.clone(),
        }
    }
}

/// The last transitions of one app.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<Transition>);

impl History {
    pub(crate) fn push(&mut self, transition: Transition) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(transition);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Transition> {
        self.0.iter()
    }
}
