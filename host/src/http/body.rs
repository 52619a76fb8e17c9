//! The bodies of requests and responses.

use std::convert::Infallible;

use actix_web::HttpRequest;
use actix_web::body::{self, BoxBody, SizedStream};
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Bytes, Payload};
use futures_util::{StreamExt, stream};

use crate::app::App;
use crate::problem::{Kind, Problem};

/// Reads the whole body, up to the app's limit; `None` when the request has none.
pub(super) async fn read_body(
    request: &HttpRequest,
    mut payload: Payload,
    app: &App,
) -> Result<Option<Bytes>, Problem> {
    let limit = app.settings().body_limit;
    let too_large = || {
        let detail = format!("The app `{}` takes bodies of at most body_limit = {limit} bytes.", app.name());
        Problem::new(Kind::BodyTooLarge, detail)
    };
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut all: Option<Vec<u8>> = None;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::new(Kind::BadRequest, error.to_string()))?;
        let size = all.as_ref().map_or(first.as_ref().map_or(0, Bytes::len), Vec::len);
        if size + chunk.len() > limit {
            return Err(too_large());
        }
        // A body of one chunk is passed on as it came.
        match (&mut first, &mut all) {
            (None, None) => first = Some(chunk),
            (Some(begun), None) => {
                let mut joined =
                    Vec::with_capacity(declared.map_or(begun.len() * 4, |length| length as usize));
                joined.extend_from_slice(begun);
                joined.extend_from_slice(&chunk);
                all = Some(joined);
            }
            (_, Some(joined)) => joined.extend_from_slice(&chunk),
        }
    }
    Ok(all.map(Bytes::from).or(first).or_else(|| declared.map(|_| Bytes::new())))
}

/// The body of a response, with the length that is told to the client. `length` is what the app says of it.
pub(super) fn response_body(
    method: &Method,
    status: StatusCode,
    length: Option<u64>,
    body: Bytes,
) -> BoxBody {
    match length {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => {
            BoxBody::new(body::None::new())
        }
        // The length of what a GET would bring, which the app knows and has not made.
        Some(length) if method == Method::HEAD && body.is_empty() => {
            BoxBody::new(SizedStream::new(length, stream::empty::<Result<Bytes, Infallible>>()))
        }
        _ => BoxBody::new(body),
    }
}
