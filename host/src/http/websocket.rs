//! Connections that become WebSockets.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::BodyStream;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::Payload;
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::io::StreamReader;

use super::pipe::pipe;
use crate::exchange::{BodySource, Download, Exchange};
use crate::metrics::Metrics;
use crate::problem::{Kind, Problem};
use crate::websocket;

/// Answers a WebSocket handshake, and serves the WebSocket from then on.
///
/// # Errors
/// The request is not a handshake.
pub(super) fn accept(
    headers: &HeaderMap,
    payload: Payload,
    exchange: Exchange,
    message_limit: usize,
    metrics: Arc<Metrics>,
) -> Result<HttpResponse, Problem> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| {
        Problem::new(Kind::BadGateway, "The app accepted a WebSocket that was not asked for.".to_owned())
    })?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|error| Problem::new(Kind::BadRequest, error.to_string()))?;
    let (writer, sent) = pipe();
    let reader = StreamReader::new(payload.map(|chunk| chunk.map_err(io::Error::other)));
    let open = Open::new(metrics);
    actix_web::rt::spawn(async move {
        websocket::serve(tokio::io::join(reader, writer), exchange, message_limit).await;
        drop(open);
    });
    Ok(HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .insert_header((header::SEC_WEBSOCKET_ACCEPT, accept))
        .body(BodyStream::new(sent.map(Ok::<_, Infallible>))))
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
pub(super) fn tunnel(payload: Payload, mut download: Download, metrics: Arc<Metrics>) -> HttpResponse {
    let open = Open::new(metrics);
    let source: BodySource = Box::pin(payload.map(|chunk| chunk.map_err(|error| error.to_string())));
    download.carry_websocket(source);
    HttpResponse::SwitchingProtocols()
        .upgrade("websocket")
        .body(BodyStream::new(download.inspect(move |_| _ = &open)))
}
