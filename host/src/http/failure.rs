//! A problem as a response.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};

use super::upgrade::WEBSOCKET_VERSION;
use crate::dispatch::problem::Problem;

/// The problem as JSON, or as a page for a browser.
pub(super) fn problem_response(problem: &Problem, request: &HeaderMap, request_id: &str) -> HttpResponse {
    let status = StatusCode::from_u16(problem.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = problem.retry_after_seconds() {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        // The answer has to name the protocol (RFC 9110, section 15.5.22), and its version (RFC 6455, section 4.2.2).
        response.insert_header((header::UPGRADE, "websocket"));
        response.insert_header((header::SEC_WEBSOCKET_VERSION, WEBSOCKET_VERSION));
    }
    if prefers_html(request) {
        return response.content_type("text/html; charset=utf-8").body(problem.to_html(request_id));
    }
    response.content_type("application/problem+json").body(problem.to_json(request_id))
}

/// Whether the request is a browser's for a page: it names HTML before any JSON.
pub(super) fn prefers_html(request: &HeaderMap) -> bool {
    let accept = request.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    match (accept.find("text/html"), accept.find("json")) {
        (Some(html), Some(json)) => html < json,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
