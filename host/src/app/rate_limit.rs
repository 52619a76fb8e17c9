//! How many requests in a second an app takes from outside: those beyond are refused at once.

use std::num::NonZeroU32;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::config::Settings;

/// The limit of one app's rate, which its settings may change at any time.
#[derive(Debug, Default)]
pub(crate) struct RateLimit(ArcSwapOption<Limit>);

#[derive(Debug)]
struct Limit {
    per_second: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

/// A request comes too soon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimited {
    /// The limit.
    pub(crate) per_second: NonZeroU32,
    /// The time after which a request is admitted again.
    pub(crate) retry_after: Duration,
}

impl RateLimit {
    /// That of these settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let rate = Self::default();
        rate.configure(settings);
        rate
    }

    /// Follows the settings; an unchanged limit keeps its count.
    pub(crate) fn configure(&self, settings: &Settings) {
        let wanted = settings.rate.and_then(NonZeroU32::new);
        if self.0.load().as_ref().map(|limit| limit.per_second) != wanted {
            let limit = |per_second| Limit {
                per_second,
                limiter: RateLimiter::direct(Quota::per_second(per_second)),
            };
            self.0.store(wanted.map(limit).map(Into::into));
        }
    }

    /// Admits one request.
    ///
    /// # Errors
    /// It comes too soon.
    pub(crate) fn check(&self) -> Result<(), RateLimited> {
        let limit = self.0.load();
        let Some(Limit { per_second, limiter }) = limit.as_deref() else { return Ok(()) };
        limiter.check().map_err(|early| RateLimited {
            per_second: *per_second,
            retry_after: early.wait_time_from(DefaultClock::default().now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_fast_is_refused_until_the_limit_is_gone() {
        let settings = |rate| Settings { rate, ..Settings::default() };
        let rate = RateLimit::new(&settings(Some(2)));
        assert!(rate.check().is_ok() && rate.check().is_ok());
        // The same limit again does not begin anew.
        rate.configure(&settings(Some(2)));
        let refused = rate.check().unwrap_err();
        assert_eq!(refused.per_second.get(), 2);
        assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= Duration::from_millis(500));
        rate.configure(&settings(None));
        assert!(rate.check().is_ok());
    }
}
