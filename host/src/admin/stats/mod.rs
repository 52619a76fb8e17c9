//! What the apps do, second by second.

mod figures;
mod history;
mod readings;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use futures_util::stream;
use tokio::time::sleep;

use self::readings::Readings;
use crate::http::sse;
use crate::registry::Registry;

pub use self::figures::{AppStats, HostStats, Stats};
pub(super) use self::history::History;
pub(crate) use self::history::{LENGTH as HISTORY_LENGTH, STEP as HISTORY_STEP};
pub use self::history::{StatsHistory, StatsPoint};

/// How long one reading is from the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// A reading for each second, as server-sent events, until the reader leaves.
pub(super) fn response(registry: Arc<Registry>) -> HttpResponse {
    let readings = Readings::begin(&registry);
    let readings = stream::unfold((readings, true), move |(mut readings, is_first)| {
        let registry = registry.clone();
        async move {
            if !is_first {
                sleep(INTERVAL).await;
            }
            let stats = sse::event("stats", &readings.next(&registry));
            Some((stats, (readings, false)))
        }
    });
    sse::streaming(readings)
}
