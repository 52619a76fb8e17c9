//! Traces: the host's own steps in what its clients, and their clients, do together.
//!
//! Context comes and goes as [W3C trace context](https://www.w3.org/TR/trace-context/). Spans go to a [`SpanSink`];
//! without one the host starts no traces, and passes the traces of its clients through.

mod context;
mod span;
mod step;

pub use self::context::TraceContext;
pub use self::span::{AttributeValue, Parent, Span, SpanKind, SpanSink};
pub(crate) use self::step::Step;
