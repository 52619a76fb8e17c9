//! What a generation hands over to the next one.

use std::time::Duration;

use serde_json::Value;

use super::plan::Plan;
use crate::app::saved_state::save_state;

/// The states that the predecessor's workers hand over. It gets no request while they are saved and the next
/// generation starts, so that nothing is missing from them, and for the same reason its WebSockets and server-sent events
/// end. A predecessor that cannot save is reported, and the start is a cold one.
pub(super) async fn hand_over(plan: &Plan, limit: Duration) -> Vec<Value> {
    let Some(predecessor) = plan.predecessor.as_ref().filter(|generation| generation.saves()) else {
        return Vec::new();
    };
    (plan.hold)().await;
    save_state(predecessor, limit).await
}
