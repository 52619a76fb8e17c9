//! What a generation hands over to the next one.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::plan::Plan;

/// How long new requests may wait for the predecessor's to end, so that its state is saved whole.
const HOLD_LIMIT: Duration = Duration::from_secs(2);

/// The states that the predecessor's workers hand over. It gets no request while they are saved and the next
/// generation starts, so that nothing is missing from them, and for the same reason its WebSockets and server-sent events
/// end. A predecessor that cannot save is reported, and the start is a cold one.
pub(super) async fn hand_over(plan: &Plan, limit: Duration) -> Vec<Value> {
    let Some(predecessor) = plan.predecessor.as_ref().filter(|generation| generation.saves()) else {
        return Vec::new();
    };
    (plan.hold)().await;
    predecessor.shutdown().cancel_endless();
    let name = plan.app.name();
    let begun = Instant::now();
    let left = predecessor.drain(HOLD_LIMIT).await;
    predecessor.drain_background(HOLD_LIMIT.saturating_sub(begun.elapsed())).await;
    if left > 0 {
        log::warn!(
            "{name}: {left} requests were still running {} ms after the change; their changes to the state are not \
            handed over",
            HOLD_LIMIT.as_millis()
        );
    }
    predecessor.save(limit).await.unwrap_or_else(|error| {
        log::warn!("{name}: cannot save its state, starting without it: {error}");
        Vec::new()
    })
}
