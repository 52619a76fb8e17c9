//! What is used of a quota, as it is reported.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::quotas::WARNING_PERCENT;
use crate::config::{Period, Quota};
use crate::observe::usage::Amounts;

/// A quota, and what is used of it in the period that it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuotaStatus {
    /// The quota.
    #[serde(flatten)]
    pub quota: Quota,
    /// When the period began, in milliseconds since 1970; 0: nothing was counted yet.
    pub since_ms: u64,
    /// When the period ends, in milliseconds since 1970.
    pub until_ms: u64,
    /// How much is left.
    pub level: QuotaLevel,
    /// How much is used of the limit that is nearest, without that of `storage`, in percent.
    pub percent: u64,
    /// What the apps have used.
    pub used: QuotaUsage,
}

/// How much of a quota is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaLevel {
    /// Enough.
    #[default]
    Free,
    /// Less than a fifth.
    Low,
    /// Nothing.
    UsedUp,
}

/// What apps have used of a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuotaUsage {
    /// CPU time in seconds.
    pub cpu_seconds: f64,
    /// GiB of allocated heap times hours.
    pub memory_gib_hours: f64,
    /// Requests from outside.
    pub requests: u64,
    /// The size of uploads and versions in bytes, if it is limited.
    pub storage: Option<u64>,
}

/// The unit of `memory_gib_hours`.
const GIB_HOUR: f64 = (1_u64 << 30) as f64 * 3600.0;

impl QuotaStatus {
    /// That of a quota of which nothing is counted yet.
    pub(super) fn new(quota: Quota) -> Self {
        Self {
            quota,
            since_ms: 0,
            until_ms: 0,
            level: QuotaLevel::default(),
            percent: 0,
            used: QuotaUsage::default(),
        }
    }
}

impl QuotaLevel {
    /// The part of a limit, in percent, from which on it is this.
    pub(super) fn percent(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Low => WARNING_PERCENT,
            Self::UsedUp => 100,
        }
    }
}

impl std::fmt::Display for QuotaLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Free => "free",
            Self::Low => "low",
            Self::UsedUp => "used up",
        })
    }
}

impl QuotaUsage {
    pub(super) fn new(used: &Amounts) -> Self {
        Self {
            cpu_seconds: used.cpu_ns as f64 / 1e9,
            memory_gib_hours: used.heap_byte_seconds as f64 / GIB_HOUR,
            requests: used.requests,
            storage: None,
        }
    }

    /// What is used of each limit that a quota has in a period.
    pub(crate) fn limits(&self, quota: &Quota) -> impl Iterator<Item = UsedLimit> {
        let limits = [
            ("cpu_seconds", quota.cpu_seconds, self.cpu_seconds, " s of CPU time"),
            ("memory_gib_hours", quota.memory_gib_hours, self.memory_gib_hours, " GiB·h of memory"),
            ("requests", quota.requests, self.requests as f64, " requests"),
        ];
        limits.into_iter().filter_map(|(name, limit, used, unit)| {
            let limit = limit?;
            Some(UsedLimit { name, text: format!("{limit}{unit}"), ratio: used / limit as f64 })
        })
    }

    /// How much is used of the limit that is nearest, in percent.
    pub(super) fn percent_of(&self, quota: &Quota) -> u64 {
        self.limits(quota).map(|limit| limit.percent()).max().unwrap_or(0)
    }

    /// The limits of which so many percent are used: `1000 requests in a day`.
    pub(super) fn limits_reached(&self, quota: &Quota, percent: u64) -> String {
        let reached = self.limits(quota).filter(|limit| limit.percent() >= percent);
        let reached: Vec<String> = reached.map(|limit| limit.text).collect();
        let article = if quota.period == Period::Hour { "an" } else { "a" };
        format!("{} in {article} {}", reached.join(" and "), quota.period)
    }
}

/// A limit of a quota.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UsedLimit {
    /// Its name in apps.json.
    pub(crate) name: &'static str,
    /// The limit with its unit.
    text: String,
    /// How much is used: 1 is all.
    pub(crate) ratio: f64,
}

impl UsedLimit {
    /// Rounded down: 100 is all of it.
    fn percent(&self) -> u64 {
        (self.ratio * 100.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::QuotaAction;

    #[test]
    fn the_limit_that_is_nearest_counts() {
        let quota = Quota {
            apps: Vec::new(),
            period: Period::Hour,
            cpu_seconds: Some(10),
            memory_gib_hours: Some(2),
            requests: None,
            storage: None,
            action: QuotaAction::Refuse,
            throttle_rate: 1,
        };
        let used = |cpu_ms: u64, gib_hours: u64| {
            QuotaUsage::new(&Amounts {
                cpu_ns: cpu_ms * 1_000_000,
                heap_byte_seconds: (gib_hours * 3600) << 30,
                requests: 1 << 40,
                ..Amounts::default()
            })
        };
        assert_eq!(used(9_999, 0).percent_of(&quota), 99, "not all of it is used");
        assert_eq!(used(0, 1).percent_of(&quota), 50);
        assert_eq!(used(8_000, 2).percent_of(&quota), 100);
        assert_eq!(used(8_000, 2).limits_reached(&quota, 100), "2 GiB·h of memory in an hour");
        assert_eq!(
            used(10_000, 3).limits_reached(&quota, 100),
            "10 s of CPU time and 2 GiB·h of memory in an hour"
        );
    }
}
