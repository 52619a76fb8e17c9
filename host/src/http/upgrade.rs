//! Requests that ask for a WebSocket.

use actix_web::HttpRequest;
use actix_web::http::{Method, Version, header};

use super::hop::elements;
use crate::problem::{Kind, Problem};

/// Whether a request asks for a WebSocket.
///
/// # Errors
/// It asks for one in a way that has no meaning. That is refused and not ignored: the HTTP library takes all that follows
/// on the connection for the body of a request that names a WebSocket, whatever length the request states.
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
    if request.method() == Method::GET && request.version() == Version::HTTP_11 && has_option && !has_body {
        return Ok(true);
    }
    let detail = "A request with `Upgrade: websocket` is a GET in HTTP/1.1 with `Connection: upgrade` and without a body.";
    Err(Problem::new(Kind::BadRequest, detail))
}

/// Whether what follows on the connection is not another request: see [`asks_for_websocket`].
pub(super) fn names_websocket(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all(header::UPGRADE)
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
