//! `POST /rpc/{app}`: JSON-RPC 2.0 over HTTP.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use atoll_port::CallContext;
use tokio::time::timeout;

use super::failure::problem_response;
use super::mount::Mount;
use super::request_log::RequestLog;
use super::target::unknown_app;
use super::trace;
use crate::app::handle::App;
use crate::dispatch::admission;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::dispatch::rpc::server;

/// The types of JSON-RPC bodies. A type is demanded, as a web page may send others to any host without asking it first.
const TYPES: [&str; 3] = ["application/json", "application/json-rpc", "application/jsonrequest"];

/// The app whose methods are at this path: `/rpc/{app}`. One app alone has them at its own name, and all other paths to
/// itself.
pub(super) fn app_at(mount: &Mount, path: &str) -> Option<Result<Arc<App>, Problem>> {
    let name = path.strip_prefix("/rpc/").filter(|name| !name.is_empty() && !name.contains('/'))?;
    match mount {
        Mount::Root(app) => (**app.name() == *name).then(|| Ok(app.clone())),
        Mount::Registry(registry) => Some(registry.find(name).ok_or_else(|| unknown_app(name, registry))),
    }
}

/// Answers a request for an app's methods.
pub(super) async fn answer(
    request: &HttpRequest,
    payload: Payload,
    app: &App,
    request_id: &str,
    record: &mut RequestLog,
) -> Result<HttpResponse, Problem> {
    let trace = record.trace(trace::of_client(request.headers()));
    if request.method() == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().insert_header((header::ALLOW, "POST, OPTIONS")).finish());
    }
    if request.method() != Method::POST {
        let detail = format!("JSON-RPC requires POST, not {}.", request.method());
        let problem = Problem::new(ProblemKind::MethodNotAllowed, detail);
        let mut response = problem_response(&problem, request.headers(), request_id);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        return Ok(response);
    }
    check_type(request)?;
    // For the first call: the others of a batch are counted when they are read.
    admission::admit(app)?;
    let body = read(app, payload).await?;
    app.metrics().received.add(body.len() as u64);
    let context = CallContext::new(request_id, trace.map(|trace| trace.to_string()).as_deref());
    let context = context.followed_by(record.host_note());
    let (answer, slowest) = server::answer(app, &body, &context).await;
    if let Some(slowest) = slowest {
        record.answered_by(slowest);
    }
    Ok(match answer {
        Some(answer) => HttpResponse::Ok().content_type("application/json").body(answer),
        None => HttpResponse::NoContent().finish(),
    })
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let given = request.mime_type().ok().flatten();
    if given.is_some_and(|given| TYPES.contains(&given.essence_str())) {
        return Ok(());
    }
    let detail = format!("JSON-RPC requires the content-type {}.", TYPES.join(", "));
    Err(Problem::new(ProblemKind::UnsupportedMediaType, detail))
}

async fn read(app: &App, payload: Payload) -> Result<Bytes, Problem> {
    let settings = app.settings();
    let (name, limit) = (app.registered_name(), settings.body_limit);
    match timeout(settings.deadline(), payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(error))) => Err(Problem::new(ProblemKind::BadRequest, error.to_string())),
        Ok(Err(_too_large)) => {
            let detail = format!("The app `{name}` accepts bodies of at most body_limit = {limit} bytes.");
            Err(Problem::new(ProblemKind::BodyTooLarge, detail))
        }
        Err(_elapsed) => {
            let ms = settings.deadline_ms;
            let detail =
                format!("The request body did not arrive within deadline_ms = {ms} of the app `{name}`.");
            Err(Problem::new(ProblemKind::RequestTimeout, detail))
        }
    }
}
