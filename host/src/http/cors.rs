//! The CORS protocol, where the setting `cors` of an app leaves it to the host.

use std::convert::Infallible;
use std::future::ready;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use super::hop::elements;

/// The headers of answers that an app would set if it handled CORS itself.
const OF_ANSWERS: [HeaderName; 6] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Whether a browser asks on its own whether a page of another site may send a request (a preflight of the CORS protocol).
/// The page's author does not control their number.
pub(super) fn is_preflight(request: &HttpRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Sets the headers of CORS in the answer to a request, in place of those that an app has set.
pub(super) async fn apply(layer: &CorsLayer, request: &HttpRequest, headers: &mut HeaderMap) {
    for name in OF_ANSWERS {
        headers.remove(name);
    }
    let inner = service_fn(|_| ready(Ok::<_, Infallible>(http::Response::new(()))));
    let Ok(answer) = layer.layer(inner).oneshot(question(request)).await;
    for (name, value) in answer.headers() {
        let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value.as_bytes()))
        else {
            unreachable!("both libraries have the same rules for headers");
        };
        let is_known = name == header::VARY && varies_by(headers, value.as_bytes());
        if !is_known {
            headers.append(name, value);
        }
    }
}

/// What the layer looks at. Every `OPTIONS` is a preflight to it.
fn question(request: &HttpRequest) -> http::Request<()> {
    let mut question = http::Request::new(());
    if is_preflight(request) {
        *question.method_mut() = http::Method::OPTIONS;
    }
    let origin = request.headers().get(header::ORIGIN);
    if let Some(origin) = origin.and_then(|origin| http::HeaderValue::from_bytes(origin.as_bytes()).ok()) {
        question.headers_mut().insert(http::header::ORIGIN, origin);
    }
    question
}

/// Whether caches know already that the answer depends on a header.
fn varies_by(headers: &HeaderMap, name: &[u8]) -> bool {
    headers
        .get_all(header::VARY)
        .filter_map(|value| value.to_str().ok())
        .flat_map(elements)
        .any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}
