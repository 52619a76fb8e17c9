//! All counts of a host as text.
//!
//! What is not there yet takes no line: an app that was never called has its phase alone, and a histogram without times
//! has none. So a host with many apps of which few are used is read fast.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::between_hosts::BetweenHosts;
use super::certificates::Certificates;
use super::fleet::Fleet;
use super::plain;
use super::process::Process;
use super::quotas::Quotas;
use crate::app::handle::App;
use crate::app::pins::PinnedGeneration;
use crate::fleet::FleetSummary;
use crate::generation::handle::Generation;
use crate::observe::certificates::CertificateEntry;
use crate::observe::metrics::{Counter, FleetCounts, Histogram, Metrics};
use crate::registry::QuotaStatus;

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own, from before that.
    Prometheus,
}

impl Exposition {
    /// The form that fits what a client accepts.
    pub(crate) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type of the text.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What is exposed, beside the process.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) apps: Vec<Arc<App>>,
    pub(crate) pinned: Vec<PinnedGeneration>,
    pub(crate) certificates: Vec<CertificateEntry>,
    pub(crate) quotas: Vec<QuotaStatus>,
    pub(crate) fleet: Option<FleetSummary>,
    /// What is counted of requests between hosts, by the names of apps.
    pub(crate) requests: BTreeMap<Arc<str>, Arc<FleetCounts>>,
}

/// The text for these, and for the process.
pub(crate) fn expose(form: Exposition, sources: Sources) -> Result<String, fmt::Error> {
    let Sources { apps, pinned, certificates, quotas, fleet, requests } = sources;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Apps { apps, pinned }));
    registry.register_collector(Box::new(Certificates(certificates)));
    registry.register_collector(Box::new(Quotas(quotas)));
    registry.register_collector(Box::new(Fleet(fleet)));
    registry.register_collector(Box::new(BetweenHosts(requests)));
    registry.register_collector(Box::new(Process));
    let mut text = String::with_capacity(64 * 1024);
    text::encode(&mut text, &registry)?;
    Ok(match form {
        Exposition::OpenMetrics => text,
        Exposition::Prometheus => plain::from_openmetrics(&text),
    })
}

#[derive(Debug)]
struct Apps {
    apps: Vec<Arc<App>>,
    pinned: Vec<PinnedGeneration>,
}

impl Collector for Apps {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families { encoder: &mut encoder, apps: &self.apps };
        out.host()?;
        out.phases()?;
        out.responses()?;
        out.histogram("request_duration", "Time from a request to its response head", |m| &m.total)?;
        out.histogram("queue_duration", "Time that requests waited for a worker", |m| &m.queue)?;
        out.histogram("handler_duration", "Time that workers spent on requests", |m| &m.handler)?;
        out.counter("received_bytes", "Bytes in request bodies", |m| &m.received)?;
        out.counter("sent_bytes", "Bytes in response bodies", |m| &m.sent)?;
        out.counter("cold_starts", "Cold starts: generations started while none was serving", |m| {
            &m.cold_starts
        })?;
        out.reloads()?;
        out.histogram("reload_duration", "Time from a change to the generation that serves it", |m| {
            &m.reload
        })?;
        out.counter("worker_restarts", "Workers that exited unexpectedly", |m| &m.worker_ends)?;
        out.values("panics", "Panics", MetricType::Counter, None, |app| Some(app.app_log().panic_count()))?;
        out.gauge("websockets", "Open WebSockets", None, |app| {
            Some(app.metrics().websockets().max(0).unsigned_abs())
        })?;
        out.of_generation("requests_in_flight", "Requests in flight", None, |serving| {
            serving.in_flight() as u64
        })?;
        out.of_generation("queue_depth", "Requests waiting for a worker", None, |serving| {
            serving.waiting() as u64
        })?;
        out.of_generation("heap_live", "Bytes allocated in the heap", Some(&Unit::Bytes), |serving| {
            serving.heap().live
        })?;
        out.of_generation(
            "heap_peak",
            "Peak heap size of one generation in bytes",
            Some(&Unit::Bytes),
            |serving| serving.heap().peak,
        )?;
        out.generations(&self.pinned)?;
        out.usage()
    }
}

/// Writes one family of metrics after another.
struct Families<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
    apps: &'a [Arc<App>],
}

/// What tells the samples of a family apart.
pub(super) type Labels<'a> = [(&'a str, &'a str)];

/// Writes one sample.
pub(super) fn number(
    family: &mut MetricEncoder<'_>,
    kind: MetricType,
    labels: &Labels<'_>,
    value: u64,
) -> fmt::Result {
    let mut sample = family.encode_family(&labels)?;
    match kind {
        MetricType::Counter => sample.encode_counter::<NoLabelSet, _, u64>(&value, None),
        _ => sample.encode_gauge(&value),
    }
}

/// Writes the times of a histogram, if there are any.
pub(super) fn distribution(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    times: &Histogram,
) -> fmt::Result {
    let times = times.snapshot();
    if times.count() == 0 {
        return Ok(());
    }
    let buckets: Vec<_> = times.buckets().collect();
    let mut sample = family.encode_family(&labels)?;
    sample.encode_histogram::<NoLabelSet>(times.sum(), times.count(), &buckets, None)
}

impl Families<'_, '_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        write: impl FnOnce(&mut MetricEncoder<'_>, &[Arc<App>]) -> fmt::Result,
    ) -> fmt::Result {
        write(&mut self.encoder.encode_descriptor(name, help, unit, kind)?, self.apps)
    }

    /// One sample for each app that was used and has a value.
    fn values(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        unit: Option<&Unit>,
        value: impl Fn(&App) -> Option<u64>,
    ) -> fmt::Result {
        self.family(&format!("atoll_app_{name}"), help, unit, kind, |family, apps| {
            for app in apps.iter().filter(|app| is_used(app)) {
                if let Some(value) = value(app) {
                    number(family, kind, &labels(app, &[]), value)?;
                }
            }
            Ok(())
        })
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl Fn(&App) -> Option<u64>,
    ) -> fmt::Result {
        self.values(name, help, MetricType::Gauge, unit, value)
    }

    fn counter(&mut self, name: &str, help: &str, of: impl Fn(&Metrics) -> &Counter) -> fmt::Result {
        self.values(name, help, MetricType::Counter, None, |app| Some(of(app.metrics()).get()))
    }

    fn of_generation(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl Fn(&Generation) -> u64,
    ) -> fmt::Result {
        self.gauge(name, help, unit, |app| app.serving().map(|serving| value(&serving)))
    }

    fn histogram(&mut self, name: &str, help: &str, of: impl Fn(&Metrics) -> &Histogram) -> fmt::Result {
        let name = format!("atoll_app_{name}");
        self.family(&name, help, Some(&Unit::Seconds), MetricType::Histogram, |family, apps| {
            for app in apps {
                distribution(family, &labels(app, &[]), of(app.metrics()))?;
            }
            Ok(())
        })
    }

    fn host(&mut self) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        self.family("atoll_host", "The host", None, MetricType::Info, |family, _| {
            family.encode_info(&&version[..])
        })?;
        self.family("atoll_apps", "Registered apps", None, MetricType::Gauge, |family, apps| {
            family.encode_gauge(&(apps.iter().filter(|app| app.version().is_none()).count() as u64))
        })
    }

    fn phases(&mut self) -> fmt::Result {
        let help = "The phase of each app: 1 for the current phase";
        self.family("atoll_app_phase", help, None, MetricType::Gauge, |family, apps| {
            for app in apps {
                let phase = app.phase().to_string();
                number(family, MetricType::Gauge, &labels(app, &[("phase", &phase)]), 1)?;
            }
            Ok(())
        })
    }

    fn responses(&mut self) -> fmt::Result {
        let help = "Requests by response status class";
        self.family("atoll_app_requests", help, None, MetricType::Counter, |family, apps| {
            for app in apps.iter().filter(|app| is_used(app)) {
                for (class, count) in
                    ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(app.metrics().responses())
                {
                    if count > 0 || class == "2xx" || class == "5xx" {
                        number(family, MetricType::Counter, &labels(app, &[("status", class)]), count)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn reloads(&mut self) -> fmt::Result {
        let help = "Reloads by outcome";
        self.family("atoll_app_reloads", help, None, MetricType::Counter, |family, apps| {
            for app in apps.iter().filter(|app| is_used(app)) {
                let metrics = app.metrics();
                for (outcome, count) in [("ok", &metrics.reloaded), ("refused", &metrics.refused)] {
                    number(family, MetricType::Counter, &labels(app, &[("outcome", outcome)]), count.get())?;
                }
            }
            Ok(())
        })
    }

    fn usage(&mut self) -> fmt::Result {
        let used = self.apps.iter().filter(|app| is_used(app));
        // One reading for all of it.
        let used: Vec<_> = used.map(|app| (&**app, app.meter().total())).collect();
        let cpu = used.iter().map(|(app, used)| (*app, used.cpu_ns));
        self.seconds("cpu", "CPU time of threads or processes", cpu)?;
        let uptime = used.iter().map(|(app, used)| (*app, used.uptime_ns));
        self.seconds("uptime", "Time that generations were ready", uptime)?;
        let help = "Bytes allocated in heaps times the seconds that they were";
        self.family("atoll_app_heap_byte_seconds", help, None, MetricType::Counter, |family, _| {
            for (app, used) in &used {
                number(family, MetricType::Counter, &labels(app, &[]), used.heap_byte_seconds)?;
            }
            Ok(())
        })
    }

    /// A counter of seconds, of each app in nanoseconds.
    fn seconds<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (&'a App, u64)>,
    ) -> fmt::Result {
        let name = format!("atoll_app_{name}");
        self.family(&name, help, Some(&Unit::Seconds), MetricType::Counter, |family, _| {
            for (app, nanoseconds) in values {
                let labels = labels(app, &[]);
                let labels = &labels[..];
                let mut sample = family.encode_family(&labels)?;
                sample.encode_counter::<NoLabelSet, f64, u64>(&(nanoseconds as f64 / 1e9), None)?;
            }
            Ok(())
        })
    }

    fn generations(&mut self, pinned: &[PinnedGeneration]) -> fmt::Result {
        let help = "Generations by state";
        self.family("atoll_app_generations", help, None, MetricType::Gauge, |family, apps| {
            for app in apps.iter().filter(|app| is_used(app)) {
                let name = &**app.name();
                let pinned = pinned.iter().filter(|pinned| pinned.app == name).count();
                let serving = usize::from(app.serving().is_some());
                for (state, count) in [("serving", serving), ("draining", app.draining()), ("pinned", pinned)]
                {
                    number(family, MetricType::Gauge, &labels(app, &[("state", state)]), count as u64)?;
                }
            }
            Ok(())
        })
    }
}

/// What tells the samples of an app from those of others, also of its versions that serve beside the current one.
fn labels<'a>(app: &'a App, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let version = app.version().map(|version| ("version", version));
    [("app", app.registered_name())].into_iter().chain(version).chain(more.iter().copied()).collect()
}

/// Whether an app was ever more than registered.
fn is_used(app: &App) -> bool {
    app.serving().is_some() || app.metrics().is_used()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_book_has_all_metrics_and_no_others() {
        let text = expose(Exposition::Prometheus, Sources::default()).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let names: BTreeSet<_> = names.collect();
        let rows = include_str!("../../../../docs/src/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `"));
        let cells = rows.filter_map(|row| row.split(" | ").next());
        let written: BTreeSet<_> =
            cells.flat_map(|cell| cell.split('`')).filter(|name| name.contains('_')).collect();
        assert_eq!(written, names, "left: docs/src/metrics.md, right: /metrics");
    }
}
