//! The certificates of the server.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::observe::certificates::{CertificateEntry, CertificateSource};

#[derive(Debug)]
pub(super) struct Certificates(pub(super) Vec<CertificateEntry>);

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(all) = self;
        let (name, help) =
            ("atoll_certificate_expiration_timestamp", "When each certificate expires, since 1970");
        let mut expirations =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for entry in all {
            if let Some(expires) = entry.expires_ms {
                let labels = [("name", &*entry.name), ("source", entry.source.name())];
                ConstGauge::new(expires / 1000).encode(expirations.encode_family(&&labels[..])?)?;
            }
        }
        let (name, help) = ("atoll_acme_orders", "Orders of certificates by ACME");
        let mut orders = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for entry in all.iter().filter(|entry| entry.source == CertificateSource::Acme) {
            for (outcome, count) in [("ok", entry.ordered), ("failed", entry.failed)] {
                let labels = [("domain", &*entry.name), ("outcome", outcome)];
                orders.encode_family(&&labels[..])?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }
}
