//! What is used of quotas.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::registry::QuotaStatus;

#[derive(Debug)]
pub(super) struct Quotas(pub(super) Vec<QuotaStatus>);

impl Collector for Quotas {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) =
            ("atoll_quota_used_ratio", "What is used of each limit of a quota in its period; 1 is all");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        // Of two limits with the same labels, the one that is nearer.
        let mut ratios = BTreeMap::<_, f64>::new();
        for QuotaStatus { quota, used, .. } in &self.0 {
            for limit in used.limits(quota) {
                let ratio = ratios.entry((quota.names(), quota.period, limit.name)).or_default();
                *ratio = ratio.max(limit.ratio);
            }
        }
        for ((apps, period, limit), ratio) in &ratios {
            let labels = [("apps", &**apps), ("limit", limit), ("period", &period.to_string())];
            ConstGauge::new(*ratio).encode(family.encode_family(&&labels[..])?)?;
        }
        Ok(())
    }
}
