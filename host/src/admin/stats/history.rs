//! The readings of the last minutes, so that charts do not begin empty.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use utoipa::ToSchema;

use super::figures::{AppStats, HostStats, Stats};
use super::readings::Readings;
use crate::registry::Registry;

/// The time that a point stands for.
pub(crate) const STEP: Duration = Duration::from_secs(5);

/// How long points are kept.
pub(crate) const LENGTH: Duration = Duration::from_secs(15 * 60);

/// How many points of the host, and of each app that was used, are kept: some 14 KiB.
const POINTS: usize = (LENGTH.as_secs() / STEP.as_secs()) as usize;

/// The figures of the last minutes, the oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsHistory {
    /// The time that a point stands for, in milliseconds.
    pub step_ms: u64,
    /// The points that the host has kept: 15 minutes, or less after its start.
    pub points: Vec<StatsPoint>,
}

/// What was done in the time before a point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// The end of that time, in milliseconds since 1970.
    pub at_ms: u64,
    /// Responses per second.
    pub per_second: f64,
    /// Failures per second.
    pub failures_per_second: f64,
    /// The median response time in milliseconds; absent without responses.
    pub p50_ms: Option<f64>,
    /// The 99th percentile response time in milliseconds; absent without responses.
    pub p99_ms: Option<f64>,
}

/// The history of a host and its apps. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct History(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    host: Points,
    apps: HashMap<String, Points>,
}

#[derive(Debug, Default)]
struct Points(VecDeque<StatsPoint>);

impl History {
    /// Keeps a reading of all apps now and then, as long as it is polled.
    pub(in crate::admin) async fn record(self, registry: Arc<Registry>) {
        let mut readings = Readings::begin(&registry);
        loop {
            sleep(STEP).await;
            self.push(&readings.next(&registry));
        }
    }

    fn push(&self, Stats { at_ms, host, apps }: &Stats) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.host.push(StatsPoint::of_host(*at_ms, host));
        // Those that are no longer registered. The others are in the order of their names.
        kept.apps.retain(|name, _| apps.binary_search_by(|app| app.name.cmp(name)).is_ok());
        for app in apps {
            let point = StatsPoint::of_app(*at_ms, app);
            match kept.apps.get_mut(&app.name) {
                Some(points) => points.push(point),
                None => kept.apps.entry(app.name.clone()).or_default().push(point),
            }
        }
    }

    /// That of an app; `None`: that of the host.
    pub(in crate::admin) fn of(&self, app: Option<&str>) -> StatsHistory {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let points = app.map_or(Some(&kept.host), |app| kept.apps.get(app));
        StatsHistory {
            step_ms: STEP.as_millis() as u64,
            points: points.map(|Points(points)| points.iter().copied().collect()).unwrap_or_default(),
        }
    }
}

impl Points {
    fn push(&mut self, point: StatsPoint) {
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }
}

impl StatsPoint {
    fn of_host(at_ms: u64, host: &HostStats) -> Self {
        let HostStats { per_second, failures_per_second, p50_ms, p99_ms } = *host;
        Self { at_ms, per_second, failures_per_second, p50_ms, p99_ms }
    }

    fn of_app(at_ms: u64, app: &AppStats) -> Self {
        let AppStats { per_second, failures_per_second, p50_ms, p99_ms, .. } = *app;
        Self { at_ms, per_second, failures_per_second, p50_ms, p99_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(at_ms: u64, apps: &[&str]) -> Stats {
        let apps = apps.iter().map(|name| AppStats {
            name: (*name).to_owned(),
            phase: "serving".to_owned(),
            generation: None,
            requests: 0,
            failures: 0,
            per_second: at_ms as f64,
            failures_per_second: 0.0,
            p50_ms: None,
            p99_ms: None,
            in_flight: 0,
            waiting: 0,
            live_bytes: 0,
        });
        Stats { at_ms, host: HostStats::default(), apps: apps.collect() }
    }

    #[test]
    fn the_last_points_of_apps_that_are_registered_are_kept() {
        let history = History::default();
        let count = POINTS as u64 + 5;
        for at_ms in 0..count {
            history.push(&stats(at_ms, &["a", "b"]));
        }
        let times = |app: Option<&str>| {
            let points = history.of(app).points;
            (points.len(), points.first().map(|point| point.at_ms), points.last().map(|point| point.at_ms))
        };
        let last = (POINTS, Some(5), Some(count - 1));
        assert_eq!((times(None), times(Some("a"))), (last, last));
        assert_eq!(history.of(Some("a")).points[0].per_second, 5.0);
        history.push(&stats(count, &["b"]));
        assert_eq!(times(Some("a")), (0, None, None));
    }
}
