//! `POST /rpc/{app}`: JSON-RPC 2.0 over HTTP.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use tokio::time::timeout;

use super::{Mount, problem_response, request_id, unknown_app};
use crate::app::App;
use crate::call_context::CallContext;
use crate::problem::{Kind, Problem};
use crate::rpc::server;

/// The types of JSON-RPC bodies. A type is demanded, as a web page may send others to any host without asking it first.
const TYPES: [&str; 3] = ["application/json", "application/json-rpc", "application/jsonrequest"];

/// The path of the methods. One app alone has them at its own name, and the rest of the paths to itself.
pub(super) fn pattern(mount: &Mount) -> String {
    match mount {
        Mount::Registry(_) => "/rpc/{app}".to_owned(),
        Mount::Root(app) => format!("/rpc/{}", app.name()),
    }
}

/// Any request to that path.
pub(super) async fn serve(request: HttpRequest, payload: Payload, mount: web::Data<Mount>) -> HttpResponse {
    let request_id = request_id(request.headers());
    match answer(&request, payload, &mount, &request_id).await {
        Ok(Some(answer)) => HttpResponse::Ok().content_type("application/json").body(answer),
        Ok(None) => HttpResponse::NoContent().finish(),
        Err(problem) => {
            let mut response = problem_response(&problem, request.headers(), &request_id);
            if problem.kind() == Kind::MethodNotAllowed {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    mount: &Mount,
    request_id: &str,
) -> Result<Option<Vec<u8>>, Problem> {
    let app = find(request, mount)?;
    check(request)?;
    let body = read(&app, payload).await?;
    let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let context = CallContext::new(request_id, traceparent);
    Ok(server::answer(&app, &body, &context).await)
}

fn find(request: &HttpRequest, mount: &Mount) -> Result<Arc<App>, Problem> {
    match mount {
        Mount::Root(app) => Ok(app.clone()),
        Mount::Registry(registry) => {
            let name = request.match_info().get("app").unwrap_or_default();
            registry.get(name).ok_or_else(|| unknown_app(name, registry))
        }
    }
}

fn check(request: &HttpRequest) -> Result<(), Problem> {
    if request.method() != Method::POST {
        let detail = format!("JSON-RPC takes POST, and this is {}.", request.method());
        return Err(Problem::new(Kind::MethodNotAllowed, detail));
    }
    let given = request.mime_type().ok().flatten();
    if given.is_some_and(|given| TYPES.contains(&given.essence_str())) {
        return Ok(());
    }
    let detail = format!("JSON-RPC takes a body with the content-type {}.", TYPES.join(", "));
    Err(Problem::new(Kind::UnsupportedMediaType, detail))
}

async fn read(app: &App, payload: Payload) -> Result<Bytes, Problem> {
    let settings = app.settings();
    let (name, limit) = (app.name(), settings.body_limit);
    match timeout(settings.deadline(), payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(error))) => Err(Problem::new(Kind::BadRequest, error.to_string())),
        Ok(Err(_too_large)) => {
            let detail = format!("The app `{name}` takes bodies of at most body_limit = {limit} bytes.");
            Err(Problem::new(Kind::BodyTooLarge, detail))
        }
        Err(_elapsed) => {
            let ms = settings.deadline_ms;
            let detail =
                format!("The request's body did not come within deadline_ms = {ms} of the app `{name}`.");
            Err(Problem::new(Kind::RequestTimeout, detail))
        }
    }
}
