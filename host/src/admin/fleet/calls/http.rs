//! HTTP requests of other hosts.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ::http::HeaderMap;
use atoll_plugin::protocol::{
    Body, BodyEnd, BodyError, Header, HttpRequest, HttpResponse, Request, Stream, header_text, method,
};
use atoll_port::CallContext;
use atoll_port::exchange::{self, websocket};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::body::RemoteBody;
use super::credit::Credit;
use super::inbound::Receivers;
use super::reply::Reply;
use super::websocket::{Client, close};
use crate::app::handle::App;
use crate::dispatch::admission;
use crate::dispatch::exchange::{
    BodySource, Download, Exchange, RequestBody, ResponseBody, WHOLE_LIMIT, pace,
};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::about;
use crate::observe::entries::FailureEntry;
use crate::observe::unix_time::now_ms;

/// Carries out a request, and sends back what comes of it. One from outside is admitted and counted as if it had come by HTTP.
pub(super) async fn serve(
    app: &Arc<App>,
    request: HttpRequest<'_>,
    (buffer, receivers): (Bytes, Receivers),
    (context, is_from_outside): (CallContext, bool),
    reply: &Rc<Reply>,
) {
    let begun = Instant::now();
    let line = format!("{} {}{}", request.method, request.prefix, request.path);
    let request_id = context.request_id().to_owned();
    let admitted = if is_from_outside { admission::admit(app) } else { Ok(()) };
    let answered = match admitted {
        Ok(()) => send(app, request, (buffer, receivers), context, reply).await,
        Err(problem) => Err(problem),
    };
    let status = match &answered {
        Ok((status, _)) => *status,
        Err(problem) => problem.kind().status(),
    };
    if is_from_outside {
        app.metrics().answered(status, begun.elapsed());
    }
    match answered {
        Ok((_, rest)) => rest.finish(app, reply).await,
        Err(problem) => {
            if is_from_outside && status >= 500 {
                let (at_ms, detail) = (now_ms(), problem.reason());
                app.app_log().failed(FailureEntry { at_ms, request_id, request: line, status, detail });
            }
            reply.refuse(&problem);
        }
    }
}

/// The code of a WebSocket that was closed as usual (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;

/// What follows the head of a response.
enum Rest {
    Nothing,
    Bytes(Bytes, Rc<Credit>),
    Stream(Download, Rc<Credit>),
    WebSocket(Exchange, Receivers),
}

async fn send(
    app: &Arc<App>,
    request: HttpRequest<'_>,
    (buffer, mut receivers): (Bytes, Receivers),
    context: CallContext,
    reply: &Rc<Reply>,
) -> Result<(u16, Rest), Problem> {
    let metrics = app.metrics();
    let names_websocket = |header: &Header<'_>| header.0 == "upgrade" && header.1 == "websocket";
    let is_handshake = request.headers.iter().any(names_websocket);
    let (_, none) = mpsc::unbounded_channel();
    let parts = std::mem::replace(&mut receivers.body, none);
    let mut source: Option<BodySource> =
        Some(Box::pin(RemoteBody::new(parts, reply.clone(), metrics.clone())));
    let body = match request.body {
        Some(Body::Transfer(_)) => {
            metrics.received.add(buffer.len() as u64);
            RequestBody::Whole(buffer)
        }
        Some(Body::Stream(_)) => {
            // The rest comes when the other host knows which one has the request.
            reply.taken();
            source.take().map_or(RequestBody::None, |source| RequestBody::Stream(source, pace::BODY_TIMEOUT))
        }
        Some(Body::Websocket(_)) | None => RequestBody::None,
    };
    let settings = app.settings();
    exchange::http(&**app, request, body, context, |answered, mut head, body| {
        if settings.server_timing {
            head.headers.push(Header(about::TIMES.into(), about::times_text(answered.times).into()));
        }
        if settings.app_header {
            head.headers.retain(|header| !header.0.eq_ignore_ascii_case(about::APP));
            head.headers.push(Header(about::APP.into(), about::app_text(answered.generation).into()));
        }
        let credit = receivers.credit.clone();
        let (kind, rest) = match body {
            ResponseBody::Whole(bytes) if bytes.len() <= WHOLE_LIMIT => {
                metrics.sent.add(bytes.len() as u64);
                head.body = head.body.map(|_| Body::Transfer(0));
                let status = head.status;
                return write(&head, reply, &bytes, true).map(|()| (status, Rest::Nothing));
            }
            ResponseBody::Whole(bytes) => {
                with_length(&mut head, bytes.len());
                (Body::STREAM, Rest::Bytes(bytes, credit))
            }
            ResponseBody::Stream(mut download) => {
                if head.status == 101
                    && is_handshake
                    && let Some(source) = source.take()
                {
                    download.carry_websocket(source);
                }
                (Body::STREAM, Rest::Stream(download, credit))
            }
            ResponseBody::WebSocket(exchange) => (Body::WEBSOCKET, Rest::WebSocket(exchange, receivers)),
        };
        head.body = Some(kind);
        let status = head.status;
        write(&head, reply, b"", false).map(|()| (status, rest))
    })
    .await?
}

fn write(head: &HttpResponse<'_>, reply: &Reply, buffer: &[u8], last: bool) -> Result<(), Problem> {
    reply.message(&head.message(reply.id()), buffer, last).map_err(|error| {
        let detail = format!("The response has {error}.");
        Problem::new(ProblemKind::BadGateway, detail)
    })
}

/// States the length of a body that was whole, and follows piece by piece.
fn with_length(head: &mut HttpResponse<'_>, length: usize) {
    const NAME: &str = "content-length";
    if !head.headers.iter().any(|header| header.0.eq_ignore_ascii_case(NAME)) {
        head.headers.push(Header(NAME.into(), length.to_string().into()));
    }
}

impl Rest {
    async fn finish(self, app: &App, reply: &Rc<Reply>) {
        match self {
            Self::Nothing => {}
            Self::Bytes(mut bytes, credit) => {
                while !bytes.is_empty() {
                    let piece = bytes.split_to(bytes.len().min(WHOLE_LIMIT));
                    chunk(&piece, &credit, app, reply).await;
                }
                end(Vec::new(), reply);
            }
            Self::Stream(download, credit) => stream(download, &credit, app, reply).await,
            Self::WebSocket(exchange, receivers) => {
                let client = Client::new(receivers, reply.clone(), app.metrics().clone());
                websocket::serve(client, exchange).await;
                if !reply.is_over() {
                    close(reply, NORMAL, "");
                }
            }
        }
    }
}

async fn stream(mut download: Download, credit: &Credit, app: &App, reply: &Reply) {
    loop {
        // What the app sends waits there.
        credit.available().await;
        match download.next().await {
            Some(Ok(bytes)) if bytes.is_empty() => {}
            Some(Ok(bytes)) => {
                for piece in bytes.chunks(WHOLE_LIMIT) {
                    chunk(piece, credit, app, reply).await;
                }
            }
            Some(Err(error)) => {
                let error = BodyError { id: reply.id(), message: error.to_string().into() };
                let text = atoll_port::to_json(&Request::notification(method::BODY_ERROR, error));
                return reply.note(&text, true);
            }
            None => {
                let trailers = download.take_trailers();
                return end(trailers.iter().flat_map(headers).collect(), reply);
            }
        }
    }
}

/// Sends a piece of a body, as soon as the other host takes it.
async fn chunk(piece: &[u8], credit: &Credit, app: &App, reply: &Reply) {
    credit.available().await;
    credit.take(piece.len());
    app.metrics().sent.add(piece.len() as u64);
    // It is less than the limit of a message.
    if let Err(error) = reply.message(&Stream { id: reply.id() }.chunk_message(), piece, false) {
        log::error!("{}: cannot send a piece of a response to another host: {error}", app.name());
    }
}

fn end(trailers: Vec<Header<'_>>, reply: &Reply) {
    reply.note(&BodyEnd { id: reply.id(), trailers }.message(), true);
}

fn headers(map: &HeaderMap) -> impl Iterator<Item = Header<'_>> {
    map.iter().map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes())))
}
