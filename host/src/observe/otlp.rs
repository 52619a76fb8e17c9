//! Spans for a collector, by [OTLP](https://opentelemetry.io/docs/specs/otlp/) over HTTP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind as Kind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter as Exporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanExporter,
    SpanLinks, SpanProcessor,
};

use crate::observe::trace::{AttributeValue, Span, SpanKind, SpanSink};

/// The service name, unless `OTEL_SERVICE_NAME` is set.
const SERVICE: &str = "atoll";

/// How long the last spans may take to be sent at the host's end.
const LAST: Duration = Duration::from_secs(5);

/// Sends spans in batches, on a separate thread. When more come than the collector takes, the newest are dropped. What
/// is left is sent when it is dropped.
///
/// The environment variables `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_BSP_…` of
/// OpenTelemetry are obeyed.
#[derive(Debug)]
pub struct Otlp {
    processor: BatchSpanProcessor,
    sampler: Sampler,
    scope: InstrumentationScope,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("cannot send spans to {endpoint}: {reason}; expected a URL such as http://127.0.0.1:4318")]
pub struct OtlpError {
    endpoint: String,
    reason: ExporterBuildError,
}

impl Otlp {
    /// Sends to the collector at this URL, such as `http://127.0.0.1:4318`. Of the traces that the host begins, this share is
    /// recorded: 1.0 is all.
    ///
    /// # Errors
    /// The URL is not valid.
    pub fn new(endpoint: &str, share: f64) -> Result<Self, OtlpError> {
        let exporter = Exporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|reason| OtlpError { endpoint: endpoint.to_owned(), reason })?;
        let reporting =
            Reporting { exporter, endpoint: endpoint.to_owned(), is_refused: AtomicBool::new(false) };
        let mut processor = BatchSpanProcessor::builder(reporting).build();
        let resource = Resource::builder();
        let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
            Some(_) => resource,
            None => resource.with_service_name(SERVICE),
        };
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder(SERVICE).with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor, sampler: Sampler::TraceIdRatioBased(share), scope })
    }
}

impl SpanSink for Otlp {
    fn samples(&self, trace_id: u128) -> bool {
        let trace_id = TraceId::from(trace_id);
        let result = self.sampler.should_sample(None, trace_id, "", &Kind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn take(&self, span: Span) {
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from(span.context.trace_id()),
                SpanId::from(span.context.span_id()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: span.parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span_id)),
            parent_span_is_remote: span.parent.is_some_and(|parent| parent.is_remote),
            span_kind: match span.kind {
                SpanKind::Server => Kind::Server,
                SpanKind::Internal => Kind::Internal,
            },
            name: span.name.into(),
            start_time: span.begun,
            end_time: span.ended,
            attributes: span.attributes.into_iter().map(attribute).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if span.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        if let Err(error) = self.processor.shutdown_with_timeout(LAST) {
            log::warn!("the last spans may be lost: {error}");
        }
    }
}

fn attribute((key, value): (&'static str, AttributeValue)) -> KeyValue {
    let value = match value {
        AttributeValue::Text(text) => Value::from(text),
        AttributeValue::Whole(number) => Value::from(number),
    };
    KeyValue::new(key, value)
}

/// An exporter that says when the collector does not take what it is sent, and when it does again.
#[derive(Debug)]
struct Reporting {
    exporter: Exporter,
    endpoint: String,
    is_refused: AtomicBool,
}

impl SpanExporter for Reporting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let was_refused = self.is_refused.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !was_refused => {
                log::warn!("dropping spans: cannot send them to {}: {error}", self.endpoint)
            }
            Ok(()) if was_refused => log::info!("sending spans to {} again", self.endpoint),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
