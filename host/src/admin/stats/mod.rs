//! What the apps do, second by second.

mod history;
mod readings;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use utoipa::ToSchema;

use self::readings::Readings;
use super::state::State;
use crate::http::sse;

pub(super) use self::history::History;
pub(crate) use self::history::{LENGTH as HISTORY_LENGTH, STEP as HISTORY_STEP};
pub use self::history::{StatsHistory, StatsPoint};

/// How long one reading is from the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// The figures of one second for all apps that have been used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// The time, in milliseconds since 1970.
    pub at_ms: u64,
    /// The sum of all apps.
    pub host: HostStats,
    /// The apps by name.
    pub apps: Vec<AppStats>,
}

/// What all apps together have done since the reading before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostStats {
    /// Responses per second.
    pub per_second: f64,
    /// Failures per second.
    pub failures_per_second: f64,
    /// The median response time in milliseconds; absent without responses.
    pub p50_ms: Option<f64>,
    /// The 99th percentile response time in milliseconds; absent without responses.
    pub p99_ms: Option<f64>,
}

/// What one app has done since the reading before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppStats {
    /// Its name.
    pub name: String,
    /// Its phase.
    pub phase: String,
    /// The serving generation.
    pub generation: Option<u64>,
    /// The total number of responses.
    pub requests: u64,
    /// Of those, the number with status 500 or above.
    pub failures: u64,
    /// Responses per second.
    pub per_second: f64,
    /// Failures per second.
    pub failures_per_second: f64,
    /// The median response time in milliseconds; absent without responses.
    pub p50_ms: Option<f64>,
    /// The 99th percentile response time in milliseconds; absent without responses.
    pub p99_ms: Option<f64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Of those, the number waiting for a worker.
    pub waiting: usize,
    /// Bytes allocated in its heap.
    pub live_bytes: u64,
}

/// A reading for each second, as server-sent events, until the reader leaves.
pub(super) fn response(state: Arc<State>) -> HttpResponse {
    let readings = Readings::begin(&state);
    let readings = stream::unfold((readings, true), move |(mut readings, is_first)| {
        let state = state.clone();
        async move {
            if !is_first {
                sleep(INTERVAL).await;
            }
            let stats = sse::event("stats", &readings.next(&state));
            Some((stats, (readings, false)))
        }
    });
    sse::streaming(readings)
}
