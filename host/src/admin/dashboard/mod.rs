//! The dashboard: a page that shows the host to its operator in a browser, with the admin API.
//!
//! Its files are in the command. A path is looked up among their names, so that nothing else can be reached.

use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::http::header::{self, EntityTag, Header, HeaderValue, IfNoneMatch};
use actix_web::web::{self, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Responder};

use super::failure;

/// What the page may do: run and show what comes from here, and speak with this host only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file of the dashboard's.
struct Asset {
    name: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($name:literal)*) => {
        [$(Asset { name: $name, content: include_bytes!($name) }),*]
    };
}

const ASSETS: [Asset; 30] = assets![
    "index.html" "style.css" "parts.css" "icon.svg" "main.js" "actions.js" "api.js" "app.js" "chart.js" "charts.js"
    "columns.js" "dialog.js" "dom.js" "faults.js" "fleet.js" "format.js" "history.js" "invoke.js" "log.js" "outcome.js"
    "overview.js" "rollout.js" "series.js" "settings.js" "sse.js" "store.js" "table.js" "token.js" "usage.js"
    "versions.js"
];

/// Their contents' hashes, by which a browser asks whether it has the newest.
static TAGS: LazyLock<[String; ASSETS.len()]> =
    LazyLock::new(|| ASSETS.each_ref().map(|asset| blake3::hash(asset.content).to_hex()[..16].to_owned()));

/// Adds the page at the root, and its files.
pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .route(
            "/",
            web::route().guard(reads()).to(async |request: HttpRequest| asset(&request, "index.html")),
        )
        .route("/dashboard/{name}", web::route().guard(reads()).to(show));
}

fn reads() -> impl actix_web::guard::Guard {
    actix_web::guard::fn_guard(|context| matches!(context.head().method, Method::GET | Method::HEAD))
}

async fn show(request: HttpRequest, name: Path<String>) -> HttpResponse {
    asset(&request, &name)
}

fn asset(request: &HttpRequest, name: &str) -> HttpResponse {
    let Some(at) = ASSETS.iter().position(|asset| asset.name == name) else {
        return failure::not_found(request).respond_to(request);
    };
    let tag = EntityTag::new_strong(TAGS[at].clone());
    let is_known = IfNoneMatch::parse(request).is_ok_and(
        |known| matches!(known, IfNoneMatch::Items(tags) if tags.iter().any(|one| one.weak_eq(&tag))),
    );
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header(header::ETag(tag));
    if is_known {
        return response.finish();
    }
    response.content_type(content_type(name)).body(ASSETS[at].content)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}
