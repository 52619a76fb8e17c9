//! Server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// Without anything to say, a comment is sent after this time: a reader that has left is noticed, and a proxy between
/// does not give up.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);

/// What is sent then.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The events of `first` and then of `next`, by this name, until one side ends.
pub(crate) fn response<T>(name: &'static str, first: Vec<Arc<T>>, next: Receiver<Arc<T>>) -> HttpResponse
where
    T: Serialize + Send + Sync + 'static,
{
    let first: Vec<_> = first.iter().map(|item| event(name, &**item)).collect();
    let next = stream::unfold(next, move |mut next| async move {
        let text = match timeout(SILENCE, next.recv()).await {
            Ok(Ok(item)) => event(name, &*item),
            Ok(Err(RecvError::Lagged(missed))) => event("missed", &missed),
            Ok(Err(RecvError::Closed)) => return None,
            Err(_elapsed) => COMMENT,
        };
        Some((text, next))
    });
    // A first piece at once tells the reader that it is connected.
    let opening = stream::iter([COMMENT]).chain(stream::iter(first));
    streaming(opening.chain(next))
}

/// A response of these events and comments.
pub(crate) fn streaming(events: impl Stream<Item = Bytes> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(events.map(Ok::<_, Infallible>))
}

/// One event. JSON on one line has no line breaks, so it is one line of data.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    format!("event: {name}\ndata: {data}\n\n").into()
}
