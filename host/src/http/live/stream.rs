//! What a page follows: a stream of what it is to be.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Query};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use tokio::time::timeout;

use super::pages::{Changed, Condition, LivePages};
use crate::http::sse;

/// Where the stream is. Nothing else is served under `/.atoll/`.
pub(super) const PATH: &str = "/.atoll/live";

/// For how many milliseconds a page waits before it asks for a stream again that has ended.
const RETRY: &[u8] = b"retry: 250\n\n";

/// Of what it asks.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    app: String,
}

/// The stream of an app's pages, until the server ends.
pub(super) fn answer(live: Arc<LivePages>, asked: Query<Asked>) -> HttpResponse {
    let app = asked.into_inner().app;
    let mut changed = live.changed.subscribe();
    // What there is now is news to the page.
    changed.mark_changed();
    let next = stream::unfold((changed, None::<Condition>), move |(mut changed, mut sent)| {
        let (live, app) = (live.clone(), app.clone());
        async move {
            loop {
                match timeout(sse::SILENCE, changed.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_elapsed) => return Some((sse::COMMENT, (changed, sent))),
                }
                if *changed.borrow_and_update() == Changed::Ended {
                    return None;
                }
                let now = live.condition(&app);
                if sent.as_ref() != Some(&now) {
                    let event = sse::event("state", &now);
                    sent = Some(now);
                    return Some((event, (changed, sent)));
                }
            }
        }
    });
    sse::streaming(stream::iter([Bytes::from_static(RETRY)]).chain(next))
}
