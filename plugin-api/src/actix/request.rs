//! Requests, from the `http` crate's to actix-web's.

use std::fmt;

use actix_http::header::{HeaderName, HeaderValue};
use actix_http::{BoxedPayloadStream, HttpMessage, Method, Payload, Request, Uri, Version};
use http::StatusCode;

use super::payload::BodyStream;
use super::response::ResponseBody;
use crate::tower::{Body, Peer};
use crate::worker::host::Host;

/// What of a request actix-web does not take.
#[derive(Debug)]
pub(super) struct Refused(String);

impl Refused {
    fn new(what: &str, error: impl fmt::Display) -> Self {
        Self(format!("the {what} of the request cannot be used: {error}"))
    }
}

impl From<Refused> for http::Response<ResponseBody> {
    fn from(refused: Refused) -> Self {
        let mut response = Self::new(ResponseBody::from(refused.0));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
    }
}

/// The request as actix-web takes it.
pub(super) fn convert(request: http::Request<Body>) -> Result<Request, Refused> {
    let (head, body) = request.into_parts();
    let payload = match http_body::Body::is_end_stream(&body) {
        true => Payload::None,
        false => Payload::Stream { payload: Box::pin(BodyStream(body)) as BoxedPayloadStream },
    };
    with_payload(&head, payload)
}

/// The request as actix-web takes it, with another body.
pub(super) fn with_payload(head: &http::request::Parts, payload: Payload) -> Result<Request, Refused> {
    let mut request = Request::with_payload(payload);
    let new = request.head_mut();
    new.method =
        Method::from_bytes(head.method.as_str().as_bytes()).map_err(|error| Refused::new("method", error))?;
    new.uri = Uri::try_from(head.uri.to_string()).map_err(|error| Refused::new("URI", error))?;
    new.version = match head.version {
        http::Version::HTTP_10 => Version::HTTP_10,
        http::Version::HTTP_2 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    new.peer_addr = head.extensions.get::<Peer>().map(|peer| peer.0);
    for (name, value) in &head.headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let name = name.map_err(|error| Refused::new("name of a header", error))?;
        new.headers.append(name, value.map_err(|error| Refused::new("value of a header", error))?);
    }
    if let Some(host) = head.extensions.get::<Host>() {
        request.extensions_mut().insert(host.clone());
    }
    Ok(request)
}
