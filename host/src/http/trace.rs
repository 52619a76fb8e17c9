//! The trace that a client has begun.

use actix_web::http::header::{HeaderMap, HeaderName};

use crate::observe::trace::TraceContext;

/// Made once: a name as text is read anew for each request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What the client says of its trace. `None` when it has sent nothing, more than one, or one that is not valid.
pub(super) fn of_client(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all(TRACEPARENT);
    let (first, None) = (all.next()?, all.next()) else { return None };
    TraceContext::parse(first.to_str().ok()?)
}
