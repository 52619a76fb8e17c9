//! The quotas of a registry: what its apps have used of them, and what follows from it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::{DefaultDirectRateLimiter, RateLimiter};
use jiff::Timestamp;

use super::quota_status::{QuotaLevel, QuotaStatus, QuotaUsage};
use crate::app::handle::App;
use crate::app::quota::UsedUp;
use crate::config::{Period, Quota, QuotaAction};
use crate::observe::usage::{Amounts, Ledger};

/// From which part of a limit on the host warns that it will be used up.
pub(crate) const WARNING_PERCENT: u64 = 80;

/// The quotas of a registry.
#[derive(Debug, Default)]
pub(super) struct Quotas(Mutex<Vec<Counted>>);

/// A quota, and what was found at the last count.
struct Counted {
    quota: Quota,
    throttle: Arc<DefaultDirectRateLimiter>,
    status: QuotaStatus,
}

impl std::fmt::Debug for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counted").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Quotas {
    /// Replaces them by others. Those that are the same continue.
    pub(super) fn configure(&self, quotas: &[Quota]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *all);
        *all = quotas
            .iter()
            .map(|quota| match before.iter().position(|before| before.quota == *quota) {
                Some(index) => before.swap_remove(index),
                None => Counted::new(quota),
            })
            .collect();
    }

    /// What was found at the last count.
    pub(super) fn list(&self) -> Vec<QuotaStatus> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|counted| counted.status.clone()).collect()
    }

    /// Counts what was used by a time in milliseconds since 1970, warns of what is used up, and lets the apps know.
    pub(super) fn count<'a>(&self, ledger: &Ledger, now_ms: u64, apps: impl Iterator<Item = &'a Arc<App>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used = BTreeMap::<Period, BTreeMap<Arc<str>, Amounts>>::new();
        for counted in &mut *all {
            let period = counted.quota.period;
            let by_app = used.entry(period).or_insert_with(|| ledger.used_in(period, now_ms));
            let mut sum = Amounts::default();
            by_app.iter().filter(|(app, _)| counted.quota.is_for(app)).for_each(|(_, used)| sum.add(used));
            counted.update(&sum, now_ms);
        }
        for app in apps {
            let of_app = all.iter().filter(|counted| counted.quota.is_for(app.name()));
            // Nothing admits less than one that refuses all.
            let strictest =
                of_app.filter_map(Counted::used_up).min_by_key(|used_up| used_up.throttle.is_some());
            app.quota_limit().set(strictest);
        }
    }
}

impl Counted {
    fn new(quota: &Quota) -> Self {
        let rate = NonZeroU32::new(quota.throttle_rate).unwrap_or(NonZeroU32::MIN);
        Self {
            quota: quota.clone(),
            throttle: RateLimiter::direct(governor::Quota::per_second(rate)).into(),
            status: QuotaStatus::new(quota.clone()),
        }
    }

    fn update(&mut self, sum: &Amounts, now_ms: u64) {
        let period = self.quota.period.at(now_ms);
        let used = QuotaUsage::new(sum);
        let percent = used.percent_of(&self.quota);
        let level = match percent {
            100.. => QuotaLevel::UsedUp,
            WARNING_PERCENT.. => QuotaLevel::Low,
            _ => QuotaLevel::Free,
        };
        let is_new =
            level > self.status.level || (period.start != self.status.since_ms && level > QuotaLevel::Free);
        self.status = QuotaStatus {
            quota: self.quota.clone(),
            since_ms: period.start,
            until_ms: period.end,
            level,
            percent,
            used,
        };
        if is_new {
            self.warn();
        }
    }

    fn warn(&self) {
        let QuotaStatus { percent, until_ms, .. } = self.status;
        let consequence = match (self.status.level, self.quota.action) {
            (QuotaLevel::UsedUp, QuotaAction::Refuse) => "; requests are refused".to_owned(),
            (QuotaLevel::UsedUp, QuotaAction::Throttle) => {
                format!("; {} requests per second are admitted", self.quota.throttle_rate)
            }
            _ => String::new(),
        };
        let until = i64::try_from(until_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        log::warn!(
            "quota of {}: {percent} % is used of {} until {}{consequence}",
            self.quota.names(),
            self.status.used.limits_reached(&self.quota, self.status.level.percent()),
            until.unwrap_or(Timestamp::MAX),
        );
    }

    /// What its apps have to know; `None`: nothing is used up, or nothing follows from it.
    fn used_up(&self) -> Option<UsedUp> {
        let throttle = match self.quota.action {
            QuotaAction::Warn => return None,
            QuotaAction::Throttle => Some(self.throttle.clone()),
            QuotaAction::Refuse => None,
        };
        (self.status.level == QuotaLevel::UsedUp).then(|| UsedUp {
            what: self.status.used.limits_reached(&self.quota, 100).into(),
            until_ms: self.status.until_ms,
            throttle,
        })
    }
}
