//! Server-sent events from a channel.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// Without anything to say, a comment is sent after this time: a reader that has left is noticed, and a proxy between
/// does not give up.
const SILENCE: Duration = Duration::from_secs(15);

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
            Err(_elapsed) => Bytes::from_static(b":\n\n"),
        };
        Some((text, next))
    });
    // A first piece at once tells the reader that it is connected.
    let opening = stream::iter([Bytes::from_static(b":\n\n")]).chain(stream::iter(first));
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(opening.chain(next).map(Ok::<_, std::convert::Infallible>))
}

/// One event. JSON on one line has no line breaks, so it is one line of data.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    format!("event: {name}\ndata: {data}\n\n").into()
}
