//! A request that the operator sends to an app by hand.

use std::time::{Duration, Instant};

use actix_web::http::Uri;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use atoll_plugin::protocol::{Header, HttpRequest, HttpVersion};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::model::{Invocation, Invoked};
use crate::app::handle::App;
use crate::app::lifecycle::Phase;
use crate::app::unavailable::Unavailable;
use crate::dispatch::exchange::{self, RequestBody, ResponseBody};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::RequestId;

/// So many bytes of the answer are shown.
const SHOWN: usize = 64 * 1024;

/// How long to wait for the chunks of a streamed body.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends the request, and reads what is answered.
pub(super) async fn invoke(app: &App, invocation: &Invocation) -> Result<Invoked, Problem> {
    let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let uri: Uri =
        invocation.path.parse().ok().filter(|_| invocation.path.starts_with('/')).ok_or_else(|| {
            bad(format!("invalid path {:?}: expected a path such as /greet/ada?x=1.", invocation.path))
        })?;
    actix_web::http::Method::from_bytes(invocation.method.as_bytes())
        .map_err(|_| bad(format!("invalid HTTP method {:?}.", invocation.method)))?;
    if app.phase() == Phase::Disabled {
        return Err(Problem::new(ProblemKind::Conflict, Unavailable::Disabled.to_string()));
    }
    let prefix = format!("/apps/{}", app.registered_name());
    let request_id = RequestId::new();
    let headers = headers(invocation)?;
    let request = HttpRequest {
        method: invocation.method.as_str().into(),
        path: uri.path().into(),
        query: uri.query().unwrap_or("").into(),
        prefix: prefix.as_str().into(),
        headers: headers.iter().map(|(name, value)| Header::new(name.as_str(), value)).collect(),
        peer: None,
        request_id: request_id.as_str().into(),
        traceparent: None,
        version: HttpVersion::default(),
        deadline_ms: None,
        body: None,
    };
    let body = match &invocation.body {
        Some(text) => RequestBody::Whole(Bytes::copy_from_slice(text.as_bytes())),
        None => RequestBody::None,
    };
    let begun = Instant::now();
    let (status, headers, body) = exchange::http(app, request, body, |_, head, body| {
        let headers = head.headers.iter().map(|Header(name, value)| (name.to_string(), value.to_string()));
        (head.status, headers.collect(), body)
    })
    .await?;
    let (body, truncated) = shown(body).await;
    let took_ms = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(Invoked { status, headers, body: String::from_utf8_lossy(&body).into_owned(), truncated, took_ms })
}

/// The request's headers, with their names in lower case. An app is to see nothing that could not have come by HTTP.
fn headers(invocation: &Invocation) -> Result<Vec<(HeaderName, &str)>, Problem> {
    let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
    let checked = invocation.headers.iter().map(|(name, value)| {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| bad(format!("invalid header name {name:?}: expected letters, digits and -.")))?;
        HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| bad(format!("invalid value {value:?} of the header {name}.")))?;
        Ok((known, value.as_str()))
    });
    checked.collect()
}

/// The beginning of a body, and whether there is more.
async fn shown(body: ResponseBody) -> (Vec<u8>, bool) {
    let mut shown = Vec::new();
    let mut is_complete = true;
    match body {
        ResponseBody::Whole(bytes) => shown.extend_from_slice(&bytes),
        ResponseBody::Stream(mut download) => {
            is_complete = timeout(PATIENCE, async {
                while let Some(chunk) = download.next().await {
                    match chunk {
                        Ok(chunk) if shown.len() <= SHOWN => shown.extend_from_slice(&chunk),
                        _ => return false,
                    }
                }
                true
            })
            .await
            .unwrap_or(false);
        }
        ResponseBody::WebSocket(_) => is_complete = false,
    }
    let truncated = !is_complete || shown.len() > SHOWN;
    shown.truncate(SHOWN);
    (shown, truncated)
}
