//! Heads: an app's into HTTP.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use atoll_plugin::protocol::{self, Header};

use crate::problem::{Kind, Problem};

/// Headers that are of one connection only (RFC 9110, section 7.6.1): they do not go from an app to the client.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    HeaderName::from_static("keep-alive"),
];

/// The response that an app's answer is.
pub(super) fn response(head: &protocol::HttpResponse<'_>, body: Bytes) -> Result<HttpResponse, Problem> {
    let bad = |what: String| Problem::new(Kind::BadGateway, format!("The app's answer has {what}."));
    let status = StatusCode::from_u16(head.status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| bad(format!("the status {}", head.status)))?;
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    for header in &head.headers {
        let Header(name, _) = header;
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("the header name {name:?}")))?;
        // The length is the body's; connections are the host's business.
        if name == header::CONTENT_LENGTH || HOP_BY_HOP.contains(&name) {
            continue;
        }
        let value = header
            .value_bytes()
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            .ok_or_else(|| bad(format!("an impossible value for the header {name}")))?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
