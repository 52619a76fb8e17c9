//! The host's one route: any request, and its answer.

use std::sync::Arc;

use actix_web::http::{ConnectionType, Method, StatusCode, header};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use atoll_plugin::protocol::{self, Header, header_text};

use super::body::request_body;
use super::connection::Current;
use super::failure::problem_response;
use super::head::response;
use super::health::Health;
use super::mount::Mount;
use super::request_id::RequestId;
use super::request_log::RequestLog;
use super::rewrite::Rewrite;
use super::settings::HttpSettings;
use super::target::{Target, target};
use super::upgrade::{asks_for_websocket, names_websocket};
use super::{about, authority, dots, forwarded, head, limits, redirect, rpc, trace, websocket};
use crate::dispatch::admission;
use crate::dispatch::exchange::{self, Answered, RequestBody, ResponseBody};
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
    let mut response = record.finish(&request, request_id.as_str(), response, front.access_log);
    request_id.mark(&mut response);
    let takes_all = names_websocket(&request) || request.method() == Method::CONNECT;
    if takes_all && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

async fn answer(
    request: &HttpRequest,
    payload: Payload,
    front: &HttpSettings,
    request_id: &str,
    record: &mut RequestLog,
) -> Result<HttpResponse, Problem> {
    limits::check(request, front.limits.max_header_bytes)?;
    authority::check(request)?;
    dots::check(request.uri().path())?;
    if let Some(port) = front.redirect_to.filter(|_| Health::from_path(request.uri().path()).is_none()) {
        return redirect::to_https(request, port);
    }
    if let Some(app) = rpc::app_at(&front.mount, request.uri().path()) {
        let app = app?;
        record.set_app(app.clone());
        return rpc::answer(request, payload, &app, request_id, record).await;
    }
    match (request.method(), request.uri().path(), &front.mount) {
        (&Method::CONNECT, ..) => {
            Err(Problem::new(ProblemKind::MethodNotAllowed, "The host does not support CONNECT."))
        }
        (&Method::OPTIONS, "*", _) => Ok(about_the_host()),
        (method, path, Mount::Registry(registry)) => match Health::from_path(path) {
            Some(health) => health.answer(method, registry, &front.shutdown),
            None => forward(request, payload, front, request_id, record).await,
        },
        (.., Mount::Root(_)) => forward(request, payload, front, request_id, record).await,
    }
}

/// The answer to `OPTIONS *`: the methods that mean something for the host as a whole.
fn about_the_host() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
        .finish()
}

/// Whether a browser asks on its own whether a page of another site may send a request (the CORS protocol). The page's
/// author does not control their number.
fn is_preflight(request: &HttpRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

async fn forward(
    request: &HttpRequest,
    payload: Payload,
    front: &HttpSettings,
    request_id: &str,
    record: &mut RequestLog,
) -> Result<HttpResponse, Problem> {
    let host = forwarded::host(request);
    let target = target(&front.mount, host.as_deref(), request.uri().path())?;
    record.set_app(target.app.clone());
    let peer = Current::peer(request);
    if target.without_slash {
        let outer = forwarded::outer_prefix(request, peer.as_ref(), &front.trusted);
        if let Some(redirect) = target.redirect(request, outer) {
            return Ok(redirect);
        }
    }
    let Target { app, prefix, path, .. } = target;
    let traceparent = record.trace(trace::of_client(request.headers())).map(|context| context.to_string());
    if !is_preflight(request) {
        admission::admit(&app)?;
    }
    let (body, payload) = if asks_for_websocket(request)? {
        (RequestBody::None, Some(payload))
    } else {
        (request_body(request, payload, app.metrics(), &front.limits).await?, None)
    };

    let mut headers = head::end_to_end(request.headers());
    headers.extend(host.as_deref().map(|host| Header("host".into(), host.into())));
    forwarded::add(&mut headers, request, peer.as_ref(), host.as_deref(), prefix, &front.trusted);
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
    let rewrite = settings.rewrite.then(|| Rewrite::new(outer, prefix, host.as_deref())).flatten();
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
                    app.name()
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
            about::add_times(&mut response, answered.times);
        }
        if settings.app_header {
            about::add_app(&mut response, answered.generation);
        }
        Ok(response)
    };
    exchange::http(&app, params, body, read).await?
}
