//! All that was counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::amounts::Amounts;
use super::past::{Past, first_hour};
use super::rows::{Key, Rows};
use crate::config::Period;

/// All that was counted. A clone is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(super) past: Arc<Past>,
    pub(super) current: Current,
}

/// What was used since [`Past`] was changed last: in the hour that it is, and in those before that are not there yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Current {
    /// The [`sequence`](Past::sequence) of the past that this comes after.
    pub(super) after: u64,
    /// When it was read from the meters, in milliseconds since 1970.
    pub(super) read_ms: u64,
    /// By their number since 1970.
    pub(super) hours: BTreeMap<u64, Rows>,
}

/// The hour that a time is in, in milliseconds since 1970.
pub(super) fn hour_of(at_ms: u64) -> u64 {
    at_ms / HOUR_MS
}

/// How long an hour is.
pub(super) const HOUR_MS: u64 = 3_600_000;

impl Ledger {
    /// What two files have, of which the second was written after the first.
    pub(super) fn of(past: Past, mut current: Current) -> Self {
        let mut past = past;
        if current.after < past.sequence {
            // It was written before, and is in the past already.
            current.hours.clear();
        }
        // The other file was lost.
        past.sequence = past.sequence.max(current.after);
        current.after = past.sequence;
        Self { past: Arc::new(past), current }
    }

    /// Adds what a library has used at this time.
    pub(crate) fn add(&mut self, at_ms: u64, key: &Key, amounts: &Amounts) {
        self.current.hours.entry(hour_of(at_ms)).or_default().add(key, amounts);
    }

    /// Adds what was used until another one was read, which has no past.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (&hour, rows) in &other.current.hours {
            self.current.hours.entry(hour).or_default().add_all(rows);
        }
        self.note_read(other.current.read_ms);
    }

    /// Notes that all that was used until this time was added.
    pub(crate) fn note_read(&mut self, at_ms: u64) {
        self.current.read_ms = at_ms;
    }

    /// The past with all hours that are over at this time; `None`: it has them.
    pub(super) fn new_past(&self, at_ms: u64) -> Option<Past> {
        let now = hour_of(at_ms);
        let over = self.current.hours.iter().filter(|(hour, _)| **hour != now);
        let over: Vec<_> = over.map(|(&hour, rows)| (hour, rows.clone())).collect();
        (!over.is_empty()).then(|| self.past.with(over))
    }

    /// Takes a past that was made of this, and forgets what is in it.
    pub(super) fn set_past(&mut self, past: Past, at_ms: u64) {
        let now = hour_of(at_ms);
        self.current.after = past.sequence;
        self.current.hours.retain(|&hour, _| hour == now);
        self.past = Arc::new(past);
    }

    /// Moves all hours that are over to the past, which keeps so many.
    pub(super) fn close_hours(&mut self, at_ms: u64) {
        if let Some(past) = self.new_past(at_ms) {
            self.set_past(past, at_ms);
        }
    }

    /// What each app has used in the period that a time is in.
    pub(crate) fn used_in(&self, period: Period, at_ms: u64) -> BTreeMap<Arc<str>, Amounts> {
        let first = first_hour(period, hour_of(at_ms));
        let kept = self.hours().filter(|(hour, _)| *hour >= first).map(|(_, rows)| rows);
        let mut used = BTreeMap::<Arc<str>, Amounts>::new();
        for (key, amounts) in self.past.unfinished(period, first).chain(kept).flat_map(Rows::iter) {
            used.entry(key.app.clone()).or_default().add(amounts);
        }
        used
    }

    /// All hours that are kept apart, with those that are both past and current twice.
    pub(super) fn hours(&self) -> impl Iterator<Item = (u64, &Rows)> {
        let hours = self.past.hours.iter().chain(&self.current.hours);
        hours.map(|(&hour, rows)| (hour, rows))
    }
}
