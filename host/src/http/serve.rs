//! The host's one route: any request, and its answer.

use std::sync::Arc;

use actix_web::http::{ConnectionType, Method, StatusCode, header};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use atoll_plugin::protocol::{self, Header, header_text};
use atoll_port::CallContext;

use super::asked::Asked;
use super::body::request_body;
use super::connection::Current;
use super::failure::problem_response;
use super::head::response;
use super::health::Health;
use super::request_id::RequestId;
use super::request_log::RequestLog;
use super::rewrite::Rewrite;
use super::settings::HttpSettings;
use super::target::Target;
use super::upgrade::{asks_for_websocket, names_websocket};
use super::{
    about, authority, cors, dots, forwarded, head, limits, redirect, rpc, trace, version, websocket,
};
use crate::config::Settings;
use crate::dispatch::admission;
use crate::dispatch::exchange::{Answered, RequestBody, ResponseBody};
use crate::dispatch::problem::{Problem, ProblemKind};

/// Adds the host's one route to an actix application.
pub fn configure(front: Arc<HttpSettings>) -> impl FnOnce(&mut ServiceConfig) {
    move |service| {
        service.app_data(web::Data::from(front)).default_service(web::to(serve));
    }
}

/// Any request.
pub(super) async fn serve(
    request: HttpRequest,
    payload: Payload,
    front: web::Data<HttpSettings>,
) -> HttpResponse {
    let mut record = RequestLog::begin();
    let request_id = RequestId::from_headers(request.headers());
    let response = match answer(&request, payload, &front, request_id.as_str(), &mut record).await {
        Ok(response) => response,
        Err(problem) => {
            record.failed(&request, request_id.as_str(), &problem);
            problem_response(&problem, request.headers(), request_id.as_str())
        }
    };
    let app = record.app().cloned();
    let mut response = record.finish(&request, request_id.as_str(), response, front.access_log);
    request_id.mark(&mut response);
    if let Some(app) = app {
        apply_settings(&app.settings(), &request, &mut response).await;
    }
    let takes_all = names_websocket(&request) || request.method() == Method::CONNECT;
    if takes_all && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Gives a response for an app, its own or one of the host, the headers that the app's settings ask for. The head of a
/// protocol that follows is no response to a page.
async fn apply_settings(settings: &Settings, request: &HttpRequest, response: &mut HttpResponse) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    settings.headers.apply(response.headers_mut());
    if let Some(cors) = &settings.cors {
        cors::apply(cors.layer(), request, response.headers_mut()).await;
    }
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    front: &HttpSettings,
    request_id: &str,
    record: &mut RequestLog,
) -> Result<HttpResponse, Problem> {
    authority::check(request)?;
    dots::check(request.uri().path())?;
    if let Some(port) = front.redirect_to.filter(|_| Health::from_path(request.uri().path()).is_none()) {
        return match front.challenges.http_answer(request.uri().path()) {
            Some(answer) => Ok(HttpResponse::Ok().content_type("application/octet-stream").body(answer)),
            None => redirect::to_https(request, port),
        };
    }
    let host = forwarded::host(request);
    let asked = Asked::of(request, &front.mount, host.as_deref());
    // Before the limits, so that a page of another origin can read that a request for its app exceeds one.
    if let Some(app) = asked.as_ref().ok().and_then(Asked::app) {
        record.set_app(app.clone());
    }
    limits::check(request, front.limits.max_header_bytes)?;
    let mut asked = asked?;
    if let Some(app) = asked.app()
        && let Some(traffic) = app.traffic()
        && let Some(version) = version::of(request, app, &traffic, front)?
    {
        record.set_app(version.clone());
        asked.set_version(version);
    }
    if let Some(app) = asked.app()
        && app.settings().cors.is_some()
        && cors::is_preflight(request)
    {
        return Ok(HttpResponse::NoContent().finish());
    }
    match asked {
        Asked::Rpc(app) => rpc::answer(request, payload, &app, request_id, record).await,
        Asked::App(target) => {
            forward(request, payload, front, target, host.as_deref(), request_id, record).await
        }
        Asked::Health(health, registry) => health.answer(request.method(), registry, &front.shutdown),
        Asked::Host => Ok(about_the_host()),
        Asked::Tunnel => {
            Err(Problem::new(ProblemKind::MethodNotAllowed, "The host does not support CONNECT."))
        }
    }
}

/// The answer to `OPTIONS *`: the methods that mean something for the host as a whole.
fn about_the_host() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
        .finish()
}

async fn forward(
    request: &HttpRequest,
    payload: Payload,
    front: &HttpSettings,
    target: Target<'_>,
    host: Option<&str>,
    request_id: &str,
    record: &mut RequestLog,
) -> Result<HttpResponse, Problem> {
    let peer = Current::peer(request);
    if target.without_slash {
        let outer = forwarded::outer_prefix(request, peer.as_ref(), &front.trusted);
        if let Some(redirect) = target.redirect(request, outer) {
            return Ok(redirect);
        }
    }
    let Target { app, prefix, path, .. } = target;
    let traceparent = record.trace(trace::of_client(request.headers())).map(|context| context.to_string());
    if !cors::is_preflight(request) {
        admission::admit(&app)?;
    }
    let (body, payload) = if asks_for_websocket(request)? {
        (RequestBody::None, Some(payload))
    } else {
        (request_body(request, payload, app.metrics(), &front.limits).await?, None)
    };

    let mut headers = head::end_to_end(request.headers());
    headers.extend(host.map(|host| Header("host".into(), host.into())));
    forwarded::add(&mut headers, request, peer.as_ref(), host, prefix, &front.trusted);
    headers.push(Header("x-request-id".into(), request_id.into()));
    if let Some(traceparent) = &traceparent {
        headers.push(Header("traceparent".into(), traceparent.into()));
        // It says more of the same trace, and means nothing without it.
        let state = request.headers().get_all("tracestate");
        headers.extend(state.map(|value| Header("tracestate".into(), header_text(value.as_bytes()))));
    }
    if payload.is_some() {
        headers.push(Header("connection".into(), "upgrade".into()));
        headers.push(Header("upgrade".into(), "websocket".into()));
    }
    let params = protocol::HttpRequest {
        method: request.method().as_str().into(),
        path: path.into(),
        query: request.uri().query().unwrap_or("").into(),
        prefix: prefix.into(),
        headers,
        peer: peer.as_ref().map(|peer| peer.text().into()),
        request_id: request_id.into(),
        traceparent: traceparent.as_deref().map(Into::into),
        version: head::version(request.version()),
        deadline_ms: None,
        body: None,
    };
    let settings = app.settings();
    let outer = forwarded::outer_prefix(request, peer.as_ref(), &front.trusted);
    let rewrite = settings.rewrite.then(|| Rewrite::new(outer, prefix, host)).flatten();
    let host_note = record.host_note();
    let read = |answered: Answered<'_>, head: protocol::HttpResponse<'_>, body| {
        record.answered(answered);
        let mut response = match (body, payload) {
            (ResponseBody::WebSocket(exchange), Some(payload)) => {
                let (limit, metrics) = (settings.body_limit, app.metrics().clone());
                websocket::accept(request.headers(), &head, payload, exchange, limit, metrics)?
            }
            (ResponseBody::WebSocket(_), None) => {
                let detail = format!(
                    "The app `{}` serves a WebSocket at this path. Connect with a WebSocket client.",
                    app.registered_name()
                );
                return Err(Problem::new(ProblemKind::UpgradeRequired, detail));
            }
            (ResponseBody::Stream(download), Some(payload)) if head.status == 101 => {
                websocket::tunnel(request.headers(), &head, payload, download, app.metrics().clone())?
            }
            (body, _) => response(request, &head, body)?,
        };
        if let Some(rewrite) = &rewrite {
            rewrite.apply(response.headers_mut());
        }
        if settings.server_timing {
            match &host_note {
                Some(host) => about::add_host(&mut response, host.get().as_deref(), answered.times),
                None => about::add_times(&mut response, answered.times),
            }
        }
        if settings.app_header {
            about::add_app(&mut response, answered.generation);
        }
        Ok(response)
    };
    let context = CallContext::of_http(&params).followed_by(host_note.clone());
    atoll_port::exchange::http(&*app, params, body, context, read).await?
}
