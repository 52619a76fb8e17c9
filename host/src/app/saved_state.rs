//! The state that a generation leaves for the next one.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::generation::handle::Generation;

/// How long the requests of a generation may take to end, so that its state is saved whole.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// The states of the workers of a generation that gets no more requests; its WebSockets and server-sent events end. One that
/// cannot save is reported, and there is none.
pub(crate) async fn save_state(generation: &Generation, limit: Duration) -> Vec<Value> {
    generation.shutdown().cancel_endless();
    let name = generation.app();
    let begun = Instant::now();
    let left = generation.drain(DRAIN_LIMIT).await;
    generation.drain_background(DRAIN_LIMIT.saturating_sub(begun.elapsed())).await;
    if left > 0 {
        log::warn!(
            "{name}: {left} requests were still running {} ms after the change; their changes to the state are not \
            handed over",
            DRAIN_LIMIT.as_millis()
        );
    }
    generation.save(limit).await.unwrap_or_else(|error| {
        log::warn!("{name}: cannot save its state, starting without it: {error}");
        Vec::new()
    })
}
