//! An HTTP request of one app to another.

use atoll_protocol::abi::Buffer;
use atoll_protocol::{Body, ErrorObject, Header, HttpRequest, HttpResponse, code};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue, Method};
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, timeout_at};

use super::{Delivery, failure};
use crate::buffer;
use crate::call_context::CallContext;
use crate::exchange::{self, Download, RequestBody, ResponseBody, Target};
use crate::generation::Generation;
use crate::problem::{Problem, ProblemKind};

/// Sends an HTTP request to an app, and waits for the whole of its answer: at most for `body_limit` bytes of a stream.
pub(super) async fn fetch(
    app: &impl Target,
    mut request: HttpRequest<'_>,
    body: Option<Buffer>,
    context: CallContext,
    body_limit: usize,
) -> Delivery {
    let limit = context.remaining(app.deadline());
    let deadline = Instant::now() + limit;
    let (request_id, traceparent) =
        (context.request_id().to_owned(), context.traceparent().map(str::to_owned));
    request.prefix = format!("/apps/{}", app.name()).into();
    request.peer = None;
    request.request_id = request_id.as_str().into();
    request.traceparent = traceparent.as_deref().map(Into::into);
    request.deadline_ms = None;
    // As with requests from outside, for apps that look there.
    request.headers.retain(|header| !is_of_context(&header.0));
    request.headers.push(Header("x-request-id".into(), request_id.as_str().into()));
    request.headers.extend(traceparent.as_deref().map(|value| Header("traceparent".into(), value.into())));
    let body = body.map_or(RequestBody::None, |buffer| Bytes::from_owner(buffer).into());
    let whole = async {
        let answer = exchange::http(app, request, body, context, |_, head, body| {
            let has_body = !matches!(&body, ResponseBody::Whole(bytes) if bytes.is_empty());
            (written(head, has_body), body)
        })
        .await;
        let (head, body) = match answer {
            Ok(answer) => answer,
            Err(problem) => return refused(problem, &request_id),
        };
        let body = match body {
            ResponseBody::Whole(bytes) => bytes,
            ResponseBody::Stream(download) => collect(app, download, body_limit).await?,
            ResponseBody::WebSocket(_) => {
                let what =
                    format!("the app `{}` opened a WebSocket, which `fetch` does not support", app.name());
                return Err(failure(code::INTERNAL_ERROR, what));
            }
        };
        Ok((head?, Some(buffer::from_bytes(body))))
    };
    timeout_at(deadline, whole).await.unwrap_or_else(|_elapsed| Err(exchange::call_too_late(app, limit)))
}

/// Whether a request that an app has made could have come by HTTP: the other app relies on it as on a client's.
pub(super) fn check(request: &HttpRequest<'_>) -> Result<(), ErrorObject<'static>> {
    let invalid = |what: String| Err(failure(code::INVALID_PARAMS, what));
    let is_header = |header: &Header<'_>| {
        HeaderName::from_bytes(header.0.as_bytes()).is_ok()
            && header.value_bytes().is_some_and(|value| HeaderValue::from_bytes(&value).is_ok())
    };
    if let Some(Header(name, _)) = request.headers.iter().find(|header| !is_header(header)) {
        return invalid(format!("invalid name or value of the header {name:?}"));
    }
    if Method::from_bytes(request.method.as_bytes()).is_err() {
        return invalid(format!("invalid HTTP method {:?}", request.method));
    }
    let has_controls = |text: &str| text.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    if has_controls(&request.path) || has_controls(&request.query) {
        return invalid(format!(
            "the path {:?} or its query contains spaces or control characters",
            request.path
        ));
    }
    Ok(())
}

/// Whether a header repeats what is in the context.
fn is_of_context(name: &str) -> bool {
    ["x-request-id", "traceparent"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// What is brought back when there is no answer. That a handler has returned an error is one: that of its status, as a
/// client would get it.
fn refused(problem: Problem, request_id: &str) -> Delivery {
    let ProblemKind::AppError(status) = problem.kind() else { return Err(exchange::from_problem(problem)) };
    let headers = vec![Header::new("content-type", "application/problem+json")];
    let head = written(HttpResponse { status, headers, body: None }, true)?;
    Ok((head, Some(buffer::from_vec(problem.to_json(request_id).into()))))
}

/// The head of an answer whose body will be whole.
fn written(head: HttpResponse<'_>, has_body: bool) -> Result<Box<RawValue>, ErrorObject<'static>> {
    let body = has_body.then_some(Body::Transfer(0));
    to_raw_value(&HttpResponse { body, ..head })
        .map_err(|error| failure(code::INTERNAL_ERROR, error.to_string()))
}

async fn collect<G: Generation>(
    app: &impl Target,
    mut download: Download<G>,
    limit: usize,
) -> Result<Bytes, ErrorObject<'static>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = download.next().await {
        let chunk = chunk.map_err(|error| {
            failure(code::INTERNAL_ERROR, format!("the response of `{}` is incomplete: {error}", app.name()))
        })?;
        if body.len() + chunk.len() > limit {
            let what = format!(
                "the response of `{}` is larger than body_limit = {limit} bytes of the calling app",
                app.name()
            );
            return Err(failure(code::BODY_TOO_LARGE, what));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
