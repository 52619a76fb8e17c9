//! The requests between the hosts of a fleet.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::exposition::{distribution, number};
use crate::observe::metrics::{Counter, FleetCounts};

/// What is counted of them, by the names of the apps.
#[derive(Debug)]
pub(super) struct BetweenHosts(pub(super) BTreeMap<Arc<str>, Arc<FleetCounts>>);

impl Collector for BetweenHosts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.counter(encoder, "sent", "Requests to other hosts of the fleet", |counts| &counts.sent)?;
        self.counter(encoder, "retried", "Requests to other hosts that went to a further one", |counts| {
            &counts.retried
        })?;
        self.counter(encoder, "received", "Requests of other hosts of the fleet", |counts| &counts.received)?;
        let failed = ("atoll_fleet_requests_failed", "Requests to other hosts that failed, by the reason");
        self.family(encoder, failed, (None, MetricType::Counter), |family, app, counts| {
            counts.failed().try_for_each(|(reason, count)| {
                number(family, MetricType::Counter, &[("app", app), ("reason", reason)], count)
            })
        })?;
        let pending = ("atoll_fleet_requests_pending", "Requests to other hosts without a complete response");
        self.family(encoder, pending, (None, MetricType::Gauge), |family, app, counts| {
            counts.pending().into_iter().try_for_each(|(state, count)| {
                number(family, MetricType::Gauge, &[("app", app), ("state", state)], count)
            })
        })?;
        let duration =
            ("atoll_fleet_request_duration", "Time from a request to another host to its response head");
        self.family(
            encoder,
            duration,
            (Some(&Unit::Seconds), MetricType::Histogram),
            |family, app, counts| distribution(family, &[("app", app)], &counts.duration),
        )
    }
}

impl BetweenHosts {
    /// A family of metrics, with the samples of each app.
    fn family(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        (unit, kind): (Option<&Unit>, MetricType),
        write: impl Fn(&mut MetricEncoder<'_>, &str, &FleetCounts) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, unit, kind)?;
        self.0.iter().try_for_each(|(app, counts)| write(&mut family, app, counts))
    }

    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        of: impl Fn(&FleetCounts) -> &Counter,
    ) -> fmt::Result {
        let name = format!("atoll_fleet_requests_{name}");
        self.family(encoder, (&name, help), (None, MetricType::Counter), |family, app, counts| {
            number(family, MetricType::Counter, &[("app", app)], of(counts).get())
        })
    }
}
