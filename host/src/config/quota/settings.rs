//! One quota.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::period::Period;
use super::read::{AMOUNT, RATE, storage_schema};
use crate::config::app_pattern::{self, AppPattern};

/// What apps may use together in each period, and what happens when they have.
///
/// ```
/// use atoll_host::config::{Config, Period};
/// use std::path::Path;
///
/// let text = r#"{ "apps": [], "quotas": [{ "apps": ["acme-*"], "cpu_seconds": 36000, "storage": "1GiB" }] }"#;
/// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
/// let quota = &config.quotas[0];
/// assert!(quota.is_for("acme-shop") && !quota.is_for("shop"));
/// assert_eq!((quota.period, quota.cpu_seconds, quota.storage), (Period::Month, Some(36_000), Some(1 << 30)));
/// # Ok::<(), atoll_host::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[schemars(
    deny_unknown_fields,
    extend("anyOf" = [
        { "required": ["cpu_seconds"] },
        { "required": ["memory_gib_hours"] },
        { "required": ["requests"] },
        { "required": ["storage"] },
    ])
)]
pub struct Quota {
    /// The apps that share it: names, and beginnings of names with `*` at the end, such as `"acme-*"`.
    #[schemars(schema_with = "app_pattern::schema")]
    pub apps: Vec<AppPattern>,

    /// The time in which it counts, in UTC: `"hour"`, `"day"` or `"month"`. Default "month".
    #[schemars(default)]
    pub period: Period,

    /// The maximum CPU time, in seconds. `null` means no limit. Default null.
    #[schemars(range(min = *AMOUNT.start(), max = *AMOUNT.end()), default)]
    pub cpu_seconds: Option<u64>,

    /// The maximum memory, in GiB of allocated heap times hours. `null` means no limit. Default null.
    #[schemars(range(min = *AMOUNT.start(), max = *AMOUNT.end()), default)]
    pub memory_gib_hours: Option<u64>,

    /// The maximum number of requests from outside. `null` means no limit. Default null.
    #[schemars(range(min = *AMOUNT.start(), max = *AMOUNT.end()), default)]
    pub requests: Option<u64>,

    /// The maximum size of the uploads and versions that the host keeps of the apps, in bytes or as a string with a unit. It
    /// does not begin again; uploads beyond it get 413. `null` means no limit. Default null.
    #[schemars(schema_with = "storage_schema", default)]
    pub storage: Option<u64>,

    /// What to do with requests from outside when CPU time, memory or requests are used up: `"warn"` logs a warning,
    /// `"throttle"` admits `throttle_rate` of them per second, and `"refuse"` none. The others get 429. Default "refuse".
    #[schemars(default)]
    pub action: QuotaAction,

    /// The number of requests per second that the apps together get when they are throttled. Default 1.
    #[schemars(range(min = *RATE.start(), max = *RATE.end()), default = "default_rate")]
    pub throttle_rate: u32,
}

pub(super) fn default_rate() -> u32 {
    1
}

/// What happens when a quota is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum QuotaAction {
    /// The host logs a warning.
    Warn,
    /// A few requests are admitted.
    Throttle,
    /// No requests are admitted.
    #[default]
    Refuse,
}

impl QuotaAction {
    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"warn\", \"throttle\" or \"refuse\"";

    /// `None`: it is another word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "warn" => Some(Self::Warn),
            "throttle" => Some(Self::Throttle),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

impl Quota {
    /// Whether an app of this name shares it.
    pub fn is_for(&self, app: &str) -> bool {
        self.apps.iter().any(|pattern| pattern.matches(app))
    }

    /// The apps that share it, as they are written.
    pub fn names(&self) -> String {
        self.apps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}
