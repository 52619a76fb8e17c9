//! The figures of one second.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
