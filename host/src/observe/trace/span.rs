//! A step of a trace, and where it goes.

use std::fmt;
use std::time::SystemTime;

use super::context::TraceContext;

/// Where spans go.
pub trait SpanSink: fmt::Debug + Send + Sync {
    /// Whether a trace that the host begins, with this id, is recorded. One that was started elsewhere is recorded if
    /// its sampled flag is set.
    fn samples(&self, trace_id: u128) -> bool;

    /// Takes a span that has ended. This is on the way of a request: it must not wait.
    fn take(&self, span: Span);
}

/// One step of a trace, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its ids.
    pub context: TraceContext,
    /// The span that it is a part of; `None` for the first one of a trace.
    pub parent: Option<Parent>,
    /// What it is, in few words: `GET hello`.
    pub name: String,
    /// Which side of what it is.
    pub kind: SpanKind,
    /// When it began.
    pub begun: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is known of it, by OpenTelemetry's names, or `atoll.` where it has none.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// Whether it failed, by the host's or the app's fault.
    pub failed: bool,
}

/// A span that another one is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub span_id: u64,
    /// Whether it was another process's.
    pub is_remote: bool,
}

/// Which side of something a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request from outside.
    Server,
    /// Something within the host: a wait, a worker's work, a call between apps.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u64> for AttributeValue {
    fn from(number: u64) -> Self {
        Self::Whole(number.cast_signed())
    }
}
