//! The fleet that the host is in.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::fleet::FleetSummary;

/// `None`: it is in none.
#[derive(Debug)]
pub(super) struct Fleet(pub(super) Option<FleetSummary>);

impl Collector for Fleet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name, help, value: fn(&FleetSummary) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            let Some(counts) = &self.0 else { return Ok(()) };
            let labels = [("fleet", &*counts.fleet)];
            ConstGauge::new(value(counts)).encode(family.encode_family(&&labels[..])?)
        };
        gauge("atoll_fleet_connected", "1 while the host is connected to its fleet", |fleet| {
            fleet.is_connected.into()
        })?;
        gauge("atoll_fleet_hosts", "Hosts of the fleet that were heard of lately", |fleet| fleet.hosts)?;
        gauge(
            "atoll_fleet_apps_out_of_date",
            "Apps of the fleet that are not what they should be on this host",
            |fleet| fleet.out_of_date,
        )
    }
}
