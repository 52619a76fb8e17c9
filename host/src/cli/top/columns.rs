//! What is shown of each app, and in which order.

use std::cmp::Ordering;

use atoll_host::internal::admin::AppStats;
use clap::ValueEnum;

use super::super::table::Column;
use super::super::units;

/// The columns of the table.
pub(super) const COLUMNS: [Column; 10] = [
    Column::Left("APP"),
    Column::Left("PHASE"),
    Column::Right("GENERATION"),
    Column::Right("REQ/S"),
    Column::Right("FAIL/S"),
    Column::Right("P50 MS"),
    Column::Right("P99 MS"),
    Column::Right("IN FLIGHT"),
    Column::Right("WAITING"),
    Column::Right("HEAP"),
];

/// The text of each column.
pub(super) fn cells(app: &AppStats) -> [String; COLUMNS.len()] {
    let time = |millis: Option<f64>| millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis:.2}"));
    [
        app.name.clone(),
        app.phase.clone(),
        app.generation.map_or_else(|| "-".to_owned(), |number| number.to_string()),
        format!("{:.0}", app.per_second),
        format!("{:.0}", app.failures_per_second),
        time(app.p50_ms),
        time(app.p99_ms),
        app.in_flight.to_string(),
        app.waiting.to_string(),
        units::bytes(app.live_bytes),
    ]
}

/// The sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SortKey {
    Name,
    Requests,
    Failures,
    P99,
    InFlight,
    Heap,
}

impl SortKey {
    /// The one of a key on the keyboard.
    pub(super) fn from_key(key: char) -> Option<Self> {
        Some(match key {
            'n' => Self::Name,
            'r' => Self::Requests,
            'f' => Self::Failures,
            'p' => Self::P99,
            'i' => Self::InFlight,
            'h' => Self::Heap,
            _ => return None,
        })
    }

    /// Its column.
    pub(super) fn column(self) -> usize {
        match self {
            Self::Name => 0,
            Self::Requests => 3,
            Self::Failures => 4,
            Self::P99 => 6,
            Self::InFlight => 7,
            Self::Heap => 9,
        }
    }
}

/// The order of the apps: the largest first, or names from the first letter on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) key: SortKey,
    reversed: bool,
}

impl Order {
    pub(super) fn new(key: SortKey) -> Self {
        Self { key, reversed: false }
    }

    /// The order after `key` was asked for: turned round, if it is that of the same key.
    pub(super) fn asked_for(self, key: SortKey) -> Self {
        Self { key, reversed: self.key == key && !self.reversed }
    }

    /// Whether the arrow in the title points down: the largest, or the last letter, is first.
    pub(super) fn is_falling(self) -> bool {
        (self.key == SortKey::Name) == self.reversed
    }

    /// Sorts the apps; those that are equal by name.
    pub(super) fn sort(self, apps: &mut [AppStats]) {
        apps.sort_by(|one, other| {
            let order = self.compare(one, other);
            let order = if self.reversed { order.reverse() } else { order };
            order.then_with(|| one.name.cmp(&other.name))
        });
    }

    fn compare(self, one: &AppStats, other: &AppStats) -> Ordering {
        match self.key {
            SortKey::Name => one.name.cmp(&other.name),
            SortKey::Requests => other.per_second.total_cmp(&one.per_second),
            SortKey::Failures => other.failures_per_second.total_cmp(&one.failures_per_second),
            SortKey::P99 => other.p99_ms.unwrap_or(-1.0).total_cmp(&one.p99_ms.unwrap_or(-1.0)),
            SortKey::InFlight => other.in_flight.cmp(&one.in_flight),
            SortKey::Heap => other.live_bytes.cmp(&one.live_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, per_second: f64, p99_ms: Option<f64>) -> AppStats {
        AppStats {
            name: name.to_owned(),
            phase: "serving".to_owned(),
            generation: Some(1),
            requests: 0,
            failures: 0,
            per_second,
            failures_per_second: 0.0,
            p50_ms: None,
            p99_ms,
            in_flight: 0,
            waiting: 0,
            live_bytes: 0,
        }
    }

    fn sorted(order: Order) -> String {
        let mut apps = [app("b", 5.0, None), app("c", 9.0, Some(1.0)), app("a", 5.0, Some(2.0))];
        order.sort(&mut apps);
        apps.map(|app| app.name).concat()
    }

    #[test]
    fn the_largest_is_first_and_the_same_key_turns_that_round() {
        let order = Order::new(SortKey::Requests);
        assert_eq!((sorted(order).as_str(), order.is_falling()), ("cab", true));
        let order = order.asked_for(SortKey::Requests);
        assert_eq!((sorted(order).as_str(), order.is_falling()), ("abc", false));
        assert_eq!(sorted(order.asked_for(SortKey::P99)), "acb");
        let order = order.asked_for(SortKey::Name);
        assert_eq!((sorted(order).as_str(), order.is_falling()), ("abc", false));
        assert_eq!(sorted(order.asked_for(SortKey::Name)), "cba");
    }

    #[test]
    fn each_key_has_the_column_of_its_title() {
        let titles = ['n', 'r', 'f', 'p', 'i', 'h']
            .map(|key| COLUMNS[SortKey::from_key(key).unwrap().column()].title());
        assert_eq!(titles, ["APP", "REQ/S", "FAIL/S", "P99 MS", "IN FLIGHT", "HEAP"]);
    }
}
