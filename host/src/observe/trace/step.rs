//! A step of the host's own, until it ends.

use std::time::{Duration, SystemTime};

use super::context::TraceContext;
use super::span::{AttributeValue, Parent, Span, SpanKind, SpanSink};
use crate::observe::timing::RequestTiming;

/// A span that is not over yet, or one that is not recorded and passes its trace on.
#[derive(Debug)]
pub(crate) struct Step {
    context: TraceContext,
    parent: Option<Parent>,
    begun: SystemTime,
    answered: Option<(SystemTime, RequestTiming)>,
}

impl Step {
    /// The first step of a new trace.
    pub(crate) fn first(sink: &dyn SpanSink) -> Self {
        Self::new(TraceContext::root(|trace_id| sink.samples(trace_id)), None)
    }

    /// A step within one of a client's, which runs elsewhere.
    pub(crate) fn of_client(client: TraceContext) -> Self {
        Self::new(client.child(), Some(Parent { span_id: client.span_id(), is_remote: true }))
    }

    /// A step within one of the host's.
    pub(crate) fn within(other: TraceContext) -> Self {
        Self::new(other.child(), Some(Parent { span_id: other.span_id(), is_remote: false }))
    }

    fn new(context: TraceContext, parent: Option<Parent>) -> Self {
        Self { context, parent, begun: SystemTime::now(), answered: None }
    }

    /// The context passed to the app that handles it.
    pub(crate) fn context(&self) -> TraceContext {
        self.context
    }

    /// A worker has answered now, and that took so long.
    pub(crate) fn answered(&mut self, times: RequestTiming) {
        self.answered = Some((SystemTime::now(), times));
    }

    /// It is over.
    pub(crate) fn end(
        self,
        sink: &dyn SpanSink,
        name: String,
        kind: SpanKind,
        attributes: Vec<(&'static str, AttributeValue)>,
        failed: bool,
    ) {
        if !self.context.is_sampled() {
            return;
        }
        if let Some((answered, times)) = self.answered {
            let taken = before(answered, times.handler);
            self.part(sink, "queue", before(taken, times.queue), taken);
            self.part(sink, "handler", taken, answered);
        }
        let Self { context, parent, begun, .. } = self;
        sink.take(Span { context, parent, name, kind, begun, ended: SystemTime::now(), attributes, failed });
    }

    fn part(&self, sink: &dyn SpanSink, name: &str, begun: SystemTime, ended: SystemTime) {
        sink.take(Span {
            context: self.context.child(),
            parent: Some(Parent { span_id: self.context.span_id(), is_remote: false }),
            name: name.to_owned(),
            kind: SpanKind::Internal,
            begun: begun.max(self.begun),
            ended: ended.max(self.begun),
            attributes: Vec::new(),
            failed: false,
        });
    }
}

fn before(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_sub(by).unwrap_or(time)
}
