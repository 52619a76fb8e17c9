//! Connections that become WebSockets.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::{BodyStream, BoxBody};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Payload;
use atoll_plugin::protocol;
use futures_util::{StreamExt, TryStreamExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::io::StreamReader;

use super::head::add_headers;
use super::pipe::pipe;
use crate::dispatch::exchange::{BodyPart, BodySource, Download, Exchange};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::websocket_stream;
use crate::observe::metrics::Metrics;

/// Answers a WebSocket handshake with what the app adds to it, and serves the WebSocket from then on.
///
/// # Errors
/// What the app adds is no header.
pub(super) fn accept(
    headers: &HeaderMap,
    head: &protocol::HttpResponse<'_>,
    payload: Payload,
    exchange: Exchange,
    message_limit: usize,
    metrics: Arc<Metrics>,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::SwitchingProtocols();
    let mut response = response.upgrade("websocket").finish();
    add_headers(&mut response, head, None)?;
    agree(headers, &mut response)?;
    // It is the host that reads and writes the frames, and it knows no extensions.
    response.headers_mut().remove(header::SEC_WEBSOCKET_EXTENSIONS);
    let (writer, sent) = pipe();
    let reader = StreamReader::new(payload.map(|chunk| chunk.map_err(io::Error::other)));
    let open = Open::new(metrics.clone());
    actix_web::rt::spawn(async move {
        websocket_stream::serve(tokio::io::join(reader, writer), exchange, message_limit, metrics).await;
        drop(open);
    });
    Ok(response.set_body(BoxBody::new(BodyStream::new(sent.map(Ok::<_, Infallible>)))))
}

/// Says that the handshake of a request with these headers is accepted, whatever the app says of it.
fn agree(request: &HeaderMap, response: &mut HttpResponse) -> Result<(), Problem> {
    let key = request.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let accept = HeaderValue::from_str(&derive_accept_key(key))
        .map_err(|error| Problem::new(ProblemKind::BadRequest, error.to_string()))?;
    let headers = response.headers_mut();
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    // It is of a handshake that is refused.
    headers.remove(header::SEC_WEBSOCKET_VERSION);
    if !request.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
    }
    Ok(())
}

/// Counts a WebSocket as long as it is open.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.websocket_opened();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.websocket_closed();
    }
}

/// Answers a handshake that the app has carried out itself: its bytes are the connection's from then on.
///
/// # Errors
/// As for [`accept`].
pub(super) fn tunnel(
    headers: &HeaderMap,
    head: &protocol::HttpResponse<'_>,
    payload: Payload,
    mut download: Download,
    metrics: Arc<Metrics>,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::SwitchingProtocols();
    let mut response = response.upgrade("websocket").finish();
    add_headers(&mut response, head, None)?;
    agree(headers, &mut response)?;
    let open = Open::new(metrics.clone());
    let source: BodySource = Box::pin(payload.map(move |chunk| {
        let bytes = chunk.map_err(|error| error.to_string())?;
        // With what frames them, which only the app reads.
        metrics.received.add(bytes.len() as u64);
        Ok(BodyPart::Data(bytes))
    }));
    download.carry_websocket(source);
    let counted = download.inspect_ok(move |bytes| open.0.sent.add(bytes.len() as u64));
    Ok(response.set_body(BoxBody::new(BodyStream::new(counted))))
}
