//! What becomes of requests to an app while a quota of it is used up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::DefaultDirectRateLimiter;

/// The quota of an app that is used up, if one is.
#[derive(Debug, Default)]
pub(crate) struct QuotaLimit(ArcSwapOption<UsedUp>);

/// What is used up, and what becomes of requests meanwhile.
#[derive(Clone)]
pub(crate) struct UsedUp {
    /// What is used up, for those who ask the app: `1000 requests in a day`.
    pub(crate) what: Arc<str>,
    /// When the quota begins again, in milliseconds since 1970.
    pub(crate) until_ms: u64,
    /// What admits a few requests; `None`: all are refused.
    pub(crate) throttle: Option<Arc<DefaultDirectRateLimiter>>,
}

impl fmt::Debug for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedUp")
            .field("what", &self.what)
            .field("until_ms", &self.until_ms)
            .finish_non_exhaustive()
    }
}

impl UsedUp {
    /// How long it lasts from a time in milliseconds since 1970.
    pub(crate) fn remaining(&self, now_ms: u64) -> Duration {
        Duration::from_millis(self.until_ms.saturating_sub(now_ms))
    }
}

impl QuotaLimit {
    /// Sets what is used up.
    pub(crate) fn set(&self, used_up: Option<UsedUp>) {
        if used_up.is_some() || self.0.load().is_some() {
            self.0.store(used_up.map(Arc::new));
        }
    }

    /// Admits one request.
    ///
    /// # Errors
    /// A quota is used up.
    pub(crate) fn check(&self) -> Result<(), Arc<UsedUp>> {
        let used_up = self.0.load();
        let Some(used_up) = used_up.as_ref() else { return Ok(()) };
        match &used_up.throttle {
            Some(throttle) if throttle.check().is_ok() => Ok(()),
            _ => Err(used_up.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::{Quota, RateLimiter};

    use super::*;

    #[test]
    fn a_quota_that_is_used_up_refuses_or_throttles_until_it_begins_again() {
        let limit = QuotaLimit::default();
        assert!(limit.check().is_ok());
        let refused = UsedUp { what: "1000 requests in a day".into(), until_ms: 5_000, throttle: None };
        limit.set(Some(refused.clone()));
        assert_eq!(limit.check().unwrap_err().remaining(2_000), Duration::from_secs(3));
        assert_eq!(refused.remaining(6_000), Duration::ZERO);
        let throttle = RateLimiter::direct(Quota::per_hour(NonZeroU32::MIN));
        limit.set(Some(UsedUp { throttle: Some(throttle.into()), ..refused }));
        assert!(limit.check().is_ok());
        assert!(limit.check().is_err());
        limit.set(None);
        assert!(limit.check().is_ok());
    }
}
