//! The trace that a client has begun.

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::observe::trace::TraceContext;

/// Created once: a textual name would be parsed again for each request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The trace context of the client. `None` when it has sent nothing, more than one, or one that is not valid.
pub(super) fn of_client(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all(TRACEPARENT);
    let (first, None) = (all.next()?, all.next()) else { return None };
    TraceContext::parse(first.to_str().ok()?)
}
