//! Calls of methods by other hosts.

use std::sync::Arc;
use std::time::Instant;

use atoll_plugin::protocol::{ErrorObject, Response, code};
use atoll_port::CallContext;
use serde_json::value::RawValue;

use super::reply::Reply;
use crate::app::handle::App;
use crate::dispatch::admission;
use crate::dispatch::rpc::{call, from_problem};

/// Calls a method, and sends its result back. A call from outside is admitted and counted as if it had come by HTTP.
pub(super) async fn serve(
    app: &Arc<App>,
    (method, params): (&str, Option<&RawValue>),
    (context, is_from_outside): (CallContext, bool),
    reply: &Reply,
) {
    let begun = Instant::now();
    let admitted = if is_from_outside { admission::admit(app) } else { Ok(()) };
    let (status, result) = match admitted {
        Ok(()) => (200, call(&**app, method, params, context, |_| ()).await),
        Err(problem) => (problem.kind().status(), Err(from_problem(problem))),
    };
    if is_from_outside {
        app.metrics().answered(status, begun.elapsed());
    }
    let text = match result {
        Ok(result) => atoll_port::to_json(&Response::result(reply.id(), result)),
        Err(error) => atoll_port::to_json(&Response::error(reply.id(), error)),
    };
    if let Err(too_large) = reply.message(&text, b"", true) {
        let message = format!("the result has {too_large}");
        let error = ErrorObject { code: code::INTERNAL_ERROR, message: message.into(), data: None };
        reply.note(&atoll_port::to_json(&Response::error(reply.id(), error)), true);
    }
}
