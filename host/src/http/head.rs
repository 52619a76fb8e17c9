//! Heads: a client's into the protocol, and an app's into HTTP.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse};
use atoll_plugin::protocol::{self, Header, HttpVersion, header_text};

use super::body::response_body;
use super::forwarded::is_forwarded;
use super::hop::{elements, is_hop_by_hop, named_by};
use crate::dispatch::exchange::{ResponseBody, is_trailer};
use crate::dispatch::problem::{Problem, ProblemKind};

/// How many headers the host adds at most.
const ADDED: usize = 10;

/// The headers of a client's request that are for the app: without those of the connection, and without those that the
/// host sets itself.
pub(super) fn end_to_end(headers: &HeaderMap) -> Vec<Header<'_>> {
    let named = named_by(headers.get_all(header::CONNECTION).filter_map(|value| value.to_str().ok()));
    let mut all = Vec::with_capacity(headers.len() + ADDED);
    all.extend(
        headers
            .iter()
            .filter(|(name, _)| {
                let name = name.as_str();
                !is_hop_by_hop(name)
                    && !is_forwarded(name)
                    && !matches!(name, "host" | "x-request-id" | "traceparent" | "tracestate")
                    && (named.is_empty() || !named.contains(name))
            })
            .map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes()))),
    );
    if takes_trailers(headers) {
        all.push(Header("te".into(), "trailers".into()));
    }
    all
}

/// The trailers of a client's request that are for the app: without those that the host sets as headers.
pub(super) fn trailers(trailers: &http::HeaderMap) -> Vec<Header<'static>> {
    trailers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            is_trailer(name)
                && !is_forwarded(name)
                && !matches!(name, "x-request-id" | "traceparent" | "tracestate")
        })
        .map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes())).into_owned())
        .collect()
}

/// A version of HTTP as the protocol has it.
pub(super) fn version(version: Version) -> HttpVersion {
    match version {
        Version::HTTP_2 => HttpVersion::Http2,
        Version::HTTP_10 => HttpVersion::Http10,
        _ => HttpVersion::Http11,
    }
}

/// Whether a client takes trailers (RFC 9110, section 10.1.4).
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::TE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(elements)
        .any(|coding| coding.eq_ignore_ascii_case("trailers"))
}

/// The response that an app's answer to a request is.
pub(super) fn response(
    request: &HttpRequest,
    head: &protocol::HttpResponse<'_>,
    body: ResponseBody,
) -> Result<HttpResponse, Problem> {
    let status = StatusCode::from_u16(head.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| bad(format!("the status {}; expected 200 to 599", head.status)))?;
    let length = values(head, "content-length").next().and_then(|length| length.parse().ok());
    let mut response = HttpResponse::with_body(status, response_body(request, status, length, body));
    add_headers(&mut response, head, length)?;
    Ok(response)
}

fn bad(what: String) -> Problem {
    Problem::new(ProblemKind::BadGateway, format!("Invalid response from the app: {what}."))
}

fn values<'a>(head: &'a protocol::HttpResponse<'_>, name: &'static str) -> impl Iterator<Item = &'a str> {
    let same = head.headers.iter().filter(move |header| header.0.eq_ignore_ascii_case(name));
    same.map(|header| &*header.1)
}

/// Adds an app's headers to a response. `length` is what it says of its body.
pub(super) fn add_headers(
    response: &mut HttpResponse,
    head: &protocol::HttpResponse<'_>,
    length: Option<u64>,
) -> Result<(), Problem> {
    let status = response.status();
    let named = named_by(values(head, "connection"));
    for header in &head.headers {
        let Header(name, _) = header;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad(format!("invalid header name {name:?}")))?;
        // The one answer that has to say which protocol it would speak.
        let advertised = name == header::UPGRADE && status == StatusCode::UPGRADE_REQUIRED;
        // The length is the body's, except of one that is not sent: 304 has what it would be. That is not 0, which frameworks
        // set for the empty body (RFC 9110, section 8.6).
        let lengthless = name == header::CONTENT_LENGTH
            && (status != StatusCode::NOT_MODIFIED || length.is_none_or(|length| length == 0));
        if lengthless || (is_hop_by_hop(name.as_str()) && !advertised) {
            continue;
        }
        if named.contains(name.as_str()) {
            continue;
        }
        let value = header
            .value_bytes()
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            .ok_or_else(|| bad(format!("invalid value of the header `{name}`")))?;
        response.headers_mut().append(name, value);
    }
    Ok(())
}
