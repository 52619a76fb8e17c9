//! Reading the counts of all apps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::figures::{AppStats, HostStats, Stats};
use crate::app::handle::App;
use crate::observe::metrics::Snapshot;
use crate::observe::unix_time::now_ms;
use crate::registry::Registry;

/// The counts of an app at the reading before.
#[derive(Clone, Default)]
struct Before {
    requests: u64,
    failures: u64,
    times: Snapshot,
}

/// Reads the counts, and remembers them for the next time.
pub(super) struct Readings {
    before: HashMap<Arc<str>, Before>,
    read: Instant,
}

impl Readings {
    /// The first one; what has been done before it counts for nothing.
    pub(super) fn begin(registry: &Registry) -> Self {
        let mut readings = Self { before: HashMap::new(), read: Instant::now() };
        readings.next(registry);
        readings
    }

    /// What has been done since the reading before.
    pub(super) fn next(&mut self, registry: &Registry) -> Stats {
        let seconds = self.read.elapsed().as_secs_f64().max(1e-6);
        self.read = Instant::now();
        let apps = registry.apps();
        let used = apps.iter().filter(|app| app.metrics().is_used() || app.serving().is_some());
        let mut times = Snapshot::default();
        let stats: Vec<_> = used.map(|app| self.measure(app, seconds, &mut times)).collect();
        self.before.retain(|name, _| registry.get(name).is_some());
        let [p50_ms, p99_ms] = [0.5, 0.99].map(|part| millis(&times, part));
        let host = HostStats {
            per_second: stats.iter().map(|app| app.per_second).sum(),
            failures_per_second: stats.iter().map(|app| app.failures_per_second).sum(),
            p50_ms,
            p99_ms,
        };
        Stats { at_ms: now_ms(), host, apps: stats }
    }

    /// What one app has done, whose times are added to `all`.
    fn measure(&mut self, app: &App, seconds: f64, all: &mut Snapshot) -> AppStats {
        let metrics = app.metrics();
        let responses = metrics.responses();
        let now = Before {
            requests: responses.iter().sum(),
            failures: responses[4],
            times: metrics.total.snapshot(),
        };
        let before = self.before.insert(app.name().clone(), now.clone()).unwrap_or_default();
        let times = now.times.since(&before.times);
        all.add(&times);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let serving = app.serving();
        AppStats {
            name: app.name().to_string(),
            phase: app.phase().to_string(),
            generation: serving.as_ref().map(|serving| serving.number()),
            requests: now.requests,
            failures: now.failures,
            per_second: rate(now.requests, before.requests),
            failures_per_second: rate(now.failures, before.failures),
            p50_ms: millis(&times, 0.5),
            p99_ms: millis(&times, 0.99),
            in_flight: serving.as_ref().map_or(0, |serving| serving.in_flight()),
            waiting: serving.as_ref().map_or(0, |serving| serving.waiting()),
            live_bytes: serving.as_ref().map_or(0, |serving| serving.heap().live),
        }
    }
}

fn millis(times: &Snapshot, part: f64) -> Option<f64> {
    times.quantile(part).map(|seconds| seconds * 1000.0)
}
