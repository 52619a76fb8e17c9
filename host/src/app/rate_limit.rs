//! How fast an app takes requests from outside: what comes faster is refused at once.

use std::num::NonZeroU32;

use arc_swap::ArcSwapOption;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::config::Settings;
use crate::dispatch::problem::{Kind, Problem};

/// The limit of one app's rate, which its settings may change at any time.
#[derive(Debug, Default)]
pub(crate) struct Admission(ArcSwapOption<Limit>);

#[derive(Debug)]
struct Limit {
    per_second: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

impl Admission {
    /// That of these settings.
    pub(crate) fn new(settings: &Settings) -> Self {
        let admission = Self::default();
        admission.configure(settings);
        admission
    }

    /// Follows the settings; a limit that stays the same goes on with what it has counted.
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

    /// Admits one request to the app of this name, if that is not too fast.
    pub(crate) fn check(&self, app: &str) -> Result<(), Problem> {
        let limit = self.0.load();
        let Some(Limit { per_second, limiter }) = limit.as_deref() else { return Ok(()) };
        limiter.check().map_err(|early| {
            let wait = early.wait_time_from(DefaultClock::default().now());
            let detail =
                format!("The app `{app}` takes {per_second} requests for each second, its limit (rate = {per_second}).");
            Problem::new(Kind::RateLimited, detail).retry_after(wait)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_fast_is_refused_until_the_limit_is_gone() {
        let settings = |rate| Settings { rate, ..Settings::default() };
        let admission = Admission::new(&settings(Some(2)));
        assert!(admission.check("a").is_ok() && admission.check("a").is_ok());
        // The same limit again does not begin anew.
        admission.configure(&settings(Some(2)));
        let refused = admission.check("a").unwrap_err();
        assert_eq!((refused.kind().status(), refused.retry_after_seconds()), (429, Some(1)));
        admission.configure(&settings(None));
        assert!(admission.check("a").is_ok());
    }
}
