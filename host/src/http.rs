//! The host's HTTP side: `/apps/{name}/…` to the apps, and the health checks.

mod rpc;
mod streams;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use atoll_plugin::protocol::{self, Header, header_text};

use crate::app::App;
use crate::exchange::{self, RequestBody, ResponseBody};
use crate::lifecycle::Phase;
use crate::problem::{Kind, Problem};
use crate::registry::Registry;

/// The path under which apps are.
const APPS: &str = "/apps/";

/// Headers that are of one connection only (RFC 9110, section 7.6.1): they do not go from an app to the client.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
];

/// Where requests under `/apps/` go.
#[derive(Clone, Debug)]
pub enum Mount {
    /// To the app that the path names.
    Registry(Arc<Registry>),
    /// All paths to one app, which sees them as they are.
    Root(Arc<App>),
}

impl From<Arc<Registry>> for Mount {
    fn from(registry: Arc<Registry>) -> Self {
        Self::Registry(registry)
    }
}

impl From<Arc<App>> for Mount {
    fn from(app: Arc<App>) -> Self {
        Self::Root(app)
    }
}

/// Adds the host's routes to an actix application.
pub fn configure(mount: Mount) -> impl FnOnce(&mut ServiceConfig) {
    move |service| {
        if let Mount::Registry(registry) = &mount {
            service
                .app_data(web::Data::from(registry.clone()))
                .route("/healthz", web::get().to(healthz))
                .route("/readyz", web::get().to(readyz));
        }
        service
            .route(&rpc::pattern(&mount), web::to(rpc::serve))
            .app_data(web::Data::new(mount))
            .default_service(web::to(serve));
    }
}

/// The process answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The apps that start with the host have started, and none has failed.
async fn readyz(registry: web::Data<Registry>) -> HttpResponse {
    let late: Vec<String> = registry
        .apps()
        .iter()
        .filter(|app| match app.phase() {
            Phase::Serving => false,
            Phase::Cold => app.settings().preload,
            Phase::Starting | Phase::Resting | Phase::Failed | Phase::Closing => true,
        })
        .map(|app| format!("{}: {}\n", app.name(), app.phase()))
        .collect();
    if late.is_empty() {
        HttpResponse::Ok().body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().body(late.concat())
    }
}

/// Any request that no other route takes.
async fn serve(request: HttpRequest, payload: Payload, mount: web::Data<Mount>) -> HttpResponse {
    let request_id = request_id(request.headers());
    match forward(&request, payload, &mount, &request_id).await {
        Ok(response) => response,
        Err(problem) => problem_response(&problem, request.headers(), &request_id),
    }
}

async fn forward(
    request: &HttpRequest,
    payload: Payload,
    mount: &Mount,
    request_id: &str,
) -> Result<HttpResponse, Problem> {
    let full_path = request.uri().path();
    let (app, prefix, path) = match mount {
        Mount::Root(app) => (app.clone(), "", full_path),
        Mount::Registry(registry) => {
            let (name, path) = split_app(full_path).ok_or_else(|| not_found(full_path))?;
            let app = registry.get(name).ok_or_else(|| unknown_app(name, registry))?;
            (app, &full_path[..APPS.len() + name.len()], path)
        }
    };
    let limit = app.settings().body_limit;
    let (body, payload) = if is_upgrade(request) {
        (RequestBody::None, Some(payload))
    } else {
        (streams::request_body(request, payload).await?, None)
    };
    let peer = request.peer_addr().map(|peer| peer.to_string().into());
    let headers = request.headers();
    let params = protocol::HttpRequest {
        method: request.method().as_str().into(),
        path: path.into(),
        query: request.uri().query().unwrap_or("").into(),
        prefix: prefix.into(),
        headers: headers
            .iter()
            .map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes())))
            .collect(),
        peer,
        request_id: request_id.into(),
        traceparent: headers.get("traceparent").map(|value| header_text(value.as_bytes())),
        deadline_ms: None,
        body: None,
    };
    exchange::http(&app, params, body, |head, body| match (body, payload) {
        (ResponseBody::WebSocket(exchange), Some(payload)) => {
            let mut response = streams::websocket(headers, payload, exchange, limit)?;
            add_headers(&mut response, &head)?;
            Ok(response)
        }
        (ResponseBody::Stream(mut download), Some(payload)) if head.status == 101 => {
            download.upload(streams::upgraded(payload));
            response(&head, ResponseBody::Stream(download))
        }
        (body, _) => response(&head, body),
    })
    .await?
}

/// The name and the rest of `/apps/{name}` and `/apps/{name}/…`; an absent rest is `/`.
fn split_app(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(APPS)?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, path) = rest.split_at(end);
    (!name.is_empty()).then_some((name, if path.is_empty() { "/" } else { path }))
}

/// Whether the client asks to go on with another protocol.
fn is_upgrade(request: &HttpRequest) -> bool {
    request.headers().contains_key(header::UPGRADE)
        && request
            .headers()
            .get(header::CONNECTION)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains("upgrade"))
}

/// The client's request id when it is a sensible one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    // Asking for it is a system call.
    static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);
    static LAST: AtomicU64 = AtomicU64::new(0);
    let sensible = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic());
    match headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(sensible) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{:x}", *PROCESS, LAST.fetch_add(1, Ordering::Relaxed)),
    }
}

fn response(head: &protocol::HttpResponse<'_>, body: ResponseBody) -> Result<HttpResponse, Problem> {
    let is_tunnel = head.status == 101 && matches!(body, ResponseBody::Stream(_));
    let status = StatusCode::from_u16(head.status)
        .ok()
        .filter(|status| !status.is_informational() || is_tunnel)
        .ok_or_else(|| bad_answer(&format!("the status {}", head.status)))?;
    let length = head
        .headers
        .iter()
        .find(|header| header.0.eq_ignore_ascii_case("content-length"))
        .and_then(|header| header.1.parse::<u64>().ok());
    let body = streams::response_body(body, status, length);
    let mut response = if is_tunnel {
        let protocol = head.headers.iter().find(|header| header.0.eq_ignore_ascii_case("upgrade"));
        let protocol = protocol.map_or("websocket", |header| &*header.1).to_owned();
        HttpResponse::SwitchingProtocols().upgrade(protocol).body(body)
    } else {
        HttpResponse::with_body(status, body)
    };
    add_headers(&mut response, head)?;
    Ok(response)
}

fn bad_answer(what: &str) -> Problem {
    Problem::new(Kind::BadGateway, format!("The app's answer has {what}."))
}

fn add_headers(response: &mut HttpResponse, head: &protocol::HttpResponse<'_>) -> Result<(), Problem> {
    for header in &head.headers {
        let Header(name, _) = header;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad_answer(&format!("the header name {name:?}")))?;
        // The length is the body's; connections are the host's business.
        if name == header::CONTENT_LENGTH || HOP_BY_HOP.contains(&name) {
            continue;
        }
        let value = header
            .value_bytes()
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            .ok_or_else(|| bad_answer(&format!("an impossible value for the header {name}")))?;
        response.headers_mut().append(name, value);
    }
    Ok(())
}

fn problem_response(problem: &Problem, request: &HeaderMap, request_id: &str) -> HttpResponse {
    let status = StatusCode::from_u16(problem.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = problem.retry_after_seconds() {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    if prefers_html(request) {
        return response.content_type("text/html; charset=utf-8").body(problem.to_html(request_id));
    }
    response.content_type("application/problem+json").body(problem.to_json(request_id))
}

/// Whether the request is a browser's for a page: it names HTML before any JSON.
fn prefers_html(request: &HeaderMap) -> bool {
    let accept = request.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    match (accept.find("text/html"), accept.find("json")) {
        (Some(html), Some(json)) => html < json,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn not_found(path: &str) -> Problem {
    Problem::new(Kind::NotFound, format!("The host has nothing at {path}. Apps are at /apps/NAME/."))
}

fn unknown_app(name: &str, registry: &Registry) -> Problem {
    Problem::new(Kind::UnknownApp, registry.no_such_app(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_the_first_part_below_apps() {
        assert_eq!(split_app("/apps/hello"), Some(("hello", "/")));
        assert_eq!(split_app("/apps/hello/"), Some(("hello", "/")));
        assert_eq!(split_app("/apps/hello/a%2Fb/c"), Some(("hello", "/a%2Fb/c")));
        assert_eq!(split_app("/apps/"), None);
        assert_eq!(split_app("/apps//x"), None);
        assert_eq!(split_app("/other"), None);
    }
}
