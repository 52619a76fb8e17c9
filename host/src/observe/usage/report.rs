//! What was used, as it is reported.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::amounts::Amounts;
use super::ledger::{HOUR_MS, Ledger};
use super::past::Before;
use super::rows::{Key, Rows};

/// What apps have used in some time, which is made of whole hours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// The beginning of the first hour, in milliseconds since 1970; absent: all that was ever counted.
    pub since_ms: Option<u64>,
    /// The end of the last hour, in milliseconds since 1970; absent: until `read_ms`.
    pub until_ms: Option<u64>,
    /// When usage was read last, in milliseconds since 1970; 0: never.
    pub read_ms: u64,
    /// The report has nothing of the hours before this time, in milliseconds since 1970: they are no longer kept apart, and
    /// not all of them are in its time. Absent: it is complete.
    pub complete_since_ms: Option<u64>,
    /// The apps by name, each with its libraries.
    pub apps: Vec<UsageEntry>,
}

/// What an app has used with one library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageEntry {
    /// The app's name.
    pub app: String,
    /// The first digits of the hash of the library's content; `-` before the app loaded one, `*` for those that are no longer
    /// kept apart.
    pub library: String,
    /// The time that generations with it were ready, in seconds.
    pub uptime_seconds: f64,
    /// The CPU time of its threads or processes, in seconds.
    pub cpu_seconds: f64,
    /// The bytes allocated in its heaps times the seconds that they were.
    pub heap_byte_seconds: u64,
    /// The requests from outside that were answered.
    pub requests: u64,
    /// Bytes in request bodies and in WebSocket messages from clients.
    pub received_bytes: u64,
    /// Bytes in response bodies and in WebSocket messages to clients.
    pub sent_bytes: u64,
    /// Generations started while none was serving.
    pub cold_starts: u64,
}

impl UsageReport {
    /// From the hour of `since_ms` to that of `until_ms`, in milliseconds since 1970; without the one, from the beginning, and
    /// without the other, to the end.
    pub(super) fn new(ledger: &Ledger, since_ms: Option<u64>, until_ms: Option<u64>) -> Self {
        let first = since_ms.map(|since| since / HOUR_MS);
        let end = until_ms.map(|until| until.div_ceil(HOUR_MS));
        let is_in = |hour| first.is_none_or(|first| first <= hour) && end.is_none_or(|end| hour < end);
        let mut rows = Rows::default();
        let mut complete_since = None;
        if let Some(Before { first: oldest, last, rows: before }) = &ledger.past.before {
            if is_in(*oldest) && is_in(*last) {
                rows.add_all(before);
            } else if first.is_none_or(|first| first <= *last) && end.is_none_or(|end| *oldest < end) {
                complete_since = Some(last + 1);
            }
        }
        ledger.hours().filter(|(hour, _)| is_in(*hour)).for_each(|(_, hour)| rows.add_all(hour));
        let milliseconds = |hour: u64| hour.saturating_mul(HOUR_MS);
        Self {
            since_ms: first.map(milliseconds),
            until_ms: end.map(milliseconds),
            read_ms: ledger.current.read_ms,
            complete_since_ms: complete_since.map(milliseconds),
            apps: rows.iter().map(|(key, amounts)| UsageEntry::new(key, amounts)).collect(),
        }
    }

    /// Leaves out all apps but those of which `is_wanted`.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.apps.retain(|entry| is_wanted(&entry.app));
    }
}

impl UsageEntry {
    fn new(key: &Key, amounts: &Amounts) -> Self {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        Self {
            app: key.app.to_string(),
            library: key.library.to_string(),
            uptime_seconds: seconds(amounts.uptime_ns),
            cpu_seconds: seconds(amounts.cpu_ns),
            heap_byte_seconds: amounts.heap_byte_seconds,
            requests: amounts.requests,
            received_bytes: amounts.received_bytes,
            sent_bytes: amounts.sent_bytes,
            cold_starts: amounts.cold_starts,
        }
    }
}
