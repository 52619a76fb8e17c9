//! The hours that are over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rows::Rows;

/// How many hours are kept apart: 62 days. What was used before them is in one total.
pub(crate) const KEPT_HOURS: usize = 62 * 24;

/// How many rows, each of one app, library and hour, are kept; with more, the oldest hours go into the total of what was before.
pub(crate) const KEPT_ROWS: usize = 50_000;

/// The hours that are over, and what was before them. It changes once an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// How often it was changed.
    pub(crate) sequence: u64,
    /// The hours that are no longer kept apart.
    pub(crate) before: Option<Before>,
    /// By their number since 1970.
    pub(crate) hours: BTreeMap<u64, Rows>,
}

/// What was used before the hours that are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// The first of these hours.
    pub(crate) first: u64,
    /// The last one.
    pub(crate) last: u64,
    /// All of them together.
    pub(crate) rows: Rows,
}

impl Past {
    /// With these hours, which are over as well.
    pub(crate) fn with(&self, hours: impl IntoIterator<Item = (u64, Rows)>) -> Self {
        let mut new = Self { sequence: self.sequence + 1, ..self.clone() };
        for (hour, rows) in hours {
            new.hours.entry(hour).or_default().add_all(&rows);
        }
        new.shorten();
        new
    }

    fn shorten(&mut self) {
        let mut rows: usize = self.hours.values().map(Rows::len).sum();
        while self.hours.len() > KEPT_HOURS || rows > KEPT_ROWS {
            let Some((hour, oldest)) = self.hours.pop_first() else { return };
            rows -= oldest.len();
            let before =
                self.before.get_or_insert_with(|| Before { first: hour, last: hour, rows: Rows::default() });
            (before.first, before.last) = (before.first.min(hour), before.last.max(hour));
            before.rows.add_all(&oldest);
        }
    }
}
