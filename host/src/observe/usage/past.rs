//! The hours that are over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ledger::HOUR_MS;
use super::rows::Rows;
use crate::config::Period;

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
    /// What of the day and the month that the last hour is in is no longer kept apart.
    #[serde(default)]
    pub(crate) unfinished: Vec<Unfinished>,
}

/// What was used in the hours of a period that are no longer kept apart, and whose period is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    period: Period,
    /// The first hour of the period.
    first: u64,
    /// By app.
    rows: Rows,
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
        let Some(&newest) = self.hours.keys().last() else { return };
        self.unfinished.retain(|unfinished| first_hour(unfinished.period, newest) == unfinished.first);
        let mut rows: usize = self.hours.values().map(Rows::len).sum();
        while self.hours.len() > KEPT_HOURS || rows > KEPT_ROWS {
            let Some((hour, oldest)) = self.hours.pop_first() else { return };
            rows -= oldest.len();
            let before =
                self.before.get_or_insert_with(|| Before { first: hour, last: hour, rows: Rows::default() });
            (before.first, before.last) = (before.first.min(hour), before.last.max(hour));
            before.rows.add_all(&oldest);
            self.note_unfinished(hour, newest, &oldest);
        }
    }

    /// Notes an hour that is no longer kept apart, for the periods that the newest one is in as well.
    fn note_unfinished(&mut self, hour: u64, newest: u64, rows: &Rows) {
        for period in Period::ALL {
            let first = first_hour(period, newest);
            if first > hour {
                continue;
            }
            let known = self.unfinished.iter().position(|unfinished| unfinished.period == period);
            let index = known.unwrap_or_else(|| {
                self.unfinished.push(Unfinished { period, first, rows: Rows::default() });
                self.unfinished.len() - 1
            });
            self.unfinished[index].rows.add_by_app(rows);
        }
    }

    /// What of the period that begins with this hour is not in the hours that are kept.
    pub(super) fn unfinished(&self, period: Period, first: u64) -> impl Iterator<Item = &Rows> {
        let is_it = move |unfinished: &&Unfinished| (unfinished.period, unfinished.first) == (period, first);
        self.unfinished.iter().filter(is_it).map(|unfinished| &unfinished.rows)
    }
}

/// The first hour of the period that an hour is in.
pub(super) fn first_hour(period: Period, hour: u64) -> u64 {
    period.at(hour.saturating_mul(HOUR_MS)).start / HOUR_MS
}
