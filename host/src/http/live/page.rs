//! Adding the script to pages.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpResponse};
use serde::Serialize;

use super::super::failure::{prefers_html, problem_response};
use super::super::request_id::RequestId;
use super::super::settings::HttpSettings;
use super::super::target::name_of_app;
use super::appended::Appended;
use super::pages::{Condition, LivePages};
use super::policy;
use super::stream::PATH;
use crate::dispatch::problem::{Problem, ProblemKind};

/// What runs in the page: a function of what the page is.
const SCRIPT: &str = include_str!("live.js");

/// What is said of the answer that is no longer so when something is added to it, or that would have the browser keep it
/// beyond the next version.
const NO_LONGER: [&str; 10] = [
    "etag",
    "last-modified",
    "expires",
    "age",
    "accept-ranges",
    "content-md5",
    "digest",
    "content-digest",
    "repr-digest",
    "content-length",
];

/// The data passed to the script.
#[derive(Serialize)]
struct Page<'a> {
    app: &'a str,
    /// Whether asking for the page once more does no harm.
    safe: bool,
    #[serde(flatten)]
    condition: &'a Condition,
}

/// Answers a request as the host does; to a page, the script is added.
pub(super) async fn deliver(
    live: Arc<LivePages>,
    front: Arc<HttpSettings>,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let app = name_of_app(&front.mount, request.request());
    if let Some(app) = &app
        && live.registry.get(app).is_none()
        && live.is_coming(app)
    {
        let request_id = RequestId::from_headers(request.headers());
        let mut response = problem_response(&still_building(app), request.headers(), request_id.as_str());
        request_id.mark(&mut response);
        if is_for_page(&request) {
            response = with_script(&request, response, app, &live.condition(app));
        }
        return Ok(request.into_response(response));
    }
    let Some(app) = app.filter(|_| is_for_page(&request)) else {
        return next.call(request).await;
    };
    let headers = request.headers_mut();
    // The whole page is wanted, as it is now and not compressed.
    for name in [
        header::ACCEPT_ENCODING,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::RANGE,
        header::IF_RANGE,
    ] {
        headers.remove(name);
    }
    // Before the answer: a page that is older than it says would not be exchanged.
    let condition = live.condition(&app);
    let response = next.call(request).await?;
    let (request, response) = response.into_parts();
    let response = if is_page(&response) {
        let request = ServiceRequest::from_request(request.clone());
        with_script(&request, response, &app, &condition)
    } else {
        response
    };
    Ok(ServiceResponse::new(request, response))
}

fn still_building(app: &str) -> Problem {
    let detail = format!("{app} is being built for the first time; see the terminal for progress.");
    Problem::new(ProblemKind::Unavailable, detail).retry_after(std::time::Duration::from_secs(1))
}

/// Whether a browser asks for something to show, and not a script for something to work with.
fn is_for_page(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    let navigates = match headers.get("sec-fetch-dest") {
        Some(destination) => destination == "document",
        // Browsers say it to hosts that they trust, such as this machine.
        None => prefers_html(headers),
    };
    navigates && request.method() != Method::HEAD && !headers.contains_key(header::UPGRADE)
}

/// Whether something can be added to an answer's end, to be read as HTML.
fn is_page(response: &HttpResponse) -> bool {
    let headers = response.headers();
    let of =
        |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_ascii_lowercase();
    let content_type = of(header::CONTENT_TYPE);
    let is_html = content_type.split(';').next().is_some_and(|kind| kind.trim() == "text/html");
    let encoding = of(header::CONTENT_ENCODING);
    let has_page = !matches!(
        response.status(),
        StatusCode::SWITCHING_PROTOCOLS
            | StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
    );
    let is_download = of(header::CONTENT_DISPOSITION).starts_with("attachment");
    has_page
        && is_html
        // The script is ASCII, which all others that are in use include.
        && !content_type.contains("utf-16")
        && matches!(encoding.as_str(), "" | "identity")
        && !is_download
}

fn with_script(
    request: &ServiceRequest,
    mut response: HttpResponse,
    app: &str,
    condition: &Condition,
) -> HttpResponse {
    // It keeps no secret: it says which script is meant, to a browser that may run all others of the page as well.
    let nonce = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let headers = response.headers_mut();
    if !allow_script(headers, &nonce, &address(request)) {
        log::debug!("{app}: a page is in a sandbox without scripts, so it does not reload itself");
        return response;
    }
    for name in NO_LONGER {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let page = Page { app, safe: request.method() == Method::GET, condition };
    let tail = script(&nonce, &page);
    response.map_body(|_, body| BoxBody::new(Appended::new(body, tail)))
}

/// Has the policies of an answer allow the script; whether it will run.
fn allow_script(headers: &mut HeaderMap, nonce: &str, address: &str) -> bool {
    const POLICY: HeaderName = header::CONTENT_SECURITY_POLICY;
    let mut policies = Vec::new();
    for value in headers.get_all(POLICY) {
        // What is no text is no policy, to a browser.
        let Ok(text) = value.to_str() else { continue };
        let Some(adapted) = policy::with_script(text, nonce, address) else { return false };
        policies.extend(HeaderValue::try_from(adapted));
    }
    headers.remove(POLICY);
    for policy in policies {
        headers.append(POLICY, policy);
    }
    true
}

/// What a policy calls the stream: this path of this host, or this host where that has no name in policies.
fn address(request: &ServiceRequest) -> String {
    let info = request.connection_info();
    let host = info.host();
    let has_name =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte));
    if has_name { format!("{host}{PATH}") } else { "'self'".to_owned() }
}

fn script(nonce: &str, page: &Page<'_>) -> Bytes {
    let data = serde_json::to_string(page).unwrap_or_else(|_| "null".to_owned());
    let mut text = String::with_capacity(SCRIPT.len() + data.len() + 80);
    let _ = write!(text, "<script nonce=\"{nonce}\">({})(", SCRIPT.trim_end().trim_end_matches(';'));
    for character in data.chars() {
        match character {
            // Nothing in it ends the script, whatever the page's encoding.
            '<' => text.push_str("\\u003c"),
            character if character.is_ascii() => text.push(character),
            character => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push_str(")</script>\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::live::pages::{Failure, Stage};
    use crate::http::live::pieces;

    #[test]
    fn what_a_compiler_says_does_not_end_the_script() {
        let text = pieces::parse("</script><script>alert('ä\u{1f600}')</script>");
        let failure = Failure { title: "x".to_owned(), text, by: Stage::Build };
        let condition = Condition { version: None, failure: Some(failure) };
        let bytes = script("1", &Page { app: "a", safe: true, condition: &condition });
        assert!(bytes.is_ascii());
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(text.matches("</script").count(), 1, "{text}");
        assert_eq!(text.matches("<script").count(), 1, "{text}");
        assert!(text.contains(r"alert('\u00e4\ud83d\ude00')"), "{text}");
    }

    #[test]
    fn only_whole_pages_that_can_be_read_get_the_script() {
        let page = |status: u16, headers: &[(&str, &str)]| {
            let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap());
            for header in headers {
                response.append_header(*header);
            }
            is_page(&response.finish())
        };
        let html = ("content-type", "Text/HTML; charset=utf-8");
        for status in [200, 404, 500] {
            assert!(page(status, &[html]), "{status}");
        }
        assert!(page(200, &[("content-type", "text/html"), ("content-encoding", "identity")]));
        for status in [101, 204, 206, 304] {
            assert!(!page(status, &[html]), "{status}");
        }
        for other in ["text/plain", "text/html+x", "application/json", "text/html;charset=UTF-16"] {
            assert!(!page(200, &[("content-type", other)]), "{other}");
        }
        assert!(!page(200, &[]));
        assert!(!page(200, &[html, ("content-encoding", "br")]));
        assert!(!page(200, &[html, ("content-disposition", "attachment; filename=page.html")]));
    }
}
