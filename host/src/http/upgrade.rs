//! Requests that ask for a WebSocket.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::http::{Method, Version, header};

use super::hop::elements;
use crate::dispatch::problem::{Problem, ProblemKind};

/// The one version of the protocol that there is.
pub(super) const WEBSOCKET_VERSION: &str = "13";

/// Whether a request asks for a WebSocket.
///
/// # Errors
/// It asks for one in a way that has no meaning (RFC 6455, section 4.2.1). That is refused and not ignored: the HTTP library
/// takes all that follows on the connection for the body of a request that names a WebSocket, whatever length the request
/// states.
pub(super) fn asks_for_websocket(request: &HttpRequest) -> Result<bool, Problem> {
    if !names_websocket(request) {
        return Ok(false);
    }
    let headers = request.headers();
    let has_option = headers
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(elements)
        .any(|option| option.eq_ignore_ascii_case("upgrade"));
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if request.method() != Method::GET || request.version() != Version::HTTP_11 || !has_option || has_body {
        let detail = "A request with `Upgrade: websocket` must be an HTTP/1.1 GET with `Connection: upgrade` and no \
            body.";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(WEBSOCKET_VERSION.as_bytes()) {
        let detail = "A WebSocket handshake requires one `Sec-WebSocket-Version: 13` header.";
        return Err(Problem::new(ProblemKind::UpgradeRequired, detail));
    }
    if !only(headers, &header::SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        let detail = "A WebSocket handshake requires one `Sec-WebSocket-Key` header with 16 bytes in base64.";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(true)
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut all = headers.get_all(name);
    let (first, None) = (all.next()?, all.next()) else { return None };
    Some(first.as_bytes())
}

/// Whether this is 16 bytes in base64: 22 digits, of which the last has room to spare, and two signs that fill it up.
fn is_key(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

/// Whether what follows on the connection is not another request: see [`asks_for_websocket`].
pub(super) fn names_websocket(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all(header::UPGRADE)
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
