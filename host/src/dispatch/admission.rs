//! Whether an app takes another request from outside now.

use std::time::Duration;

use crate::app::handle::App;
use crate::app::rate_limit::RateLimited;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::unix_time::now_ms;

/// Admits one request to the app.
///
/// # Errors
/// More requests came within a second than the app's `rate`, or a quota is used up.
pub(crate) fn admit(app: &App) -> Result<(), Problem> {
    app.quota_limit().check().map_err(|used_up| {
        let few = if used_up.throttle.is_some() { ", and gets only a few requests until then" } else { "" };
        let detail = format!("The app `{}` has used up its quota of {}{few}.", app.name(), used_up.what);
        Problem::new(ProblemKind::QuotaUsedUp, detail).retry_after(match used_up.throttle {
            Some(_) => Duration::from_secs(1),
            None => used_up.remaining(now_ms()),
        })
    })?;
    app.rate_limit().check().map_err(|RateLimited { per_second, retry_after }| {
        let name = app.registered_name();
        let detail = format!(
            "The app `{name}` has reached its rate limit of {per_second} requests per second (rate = {per_second})."
        );
        Problem::new(ProblemKind::RateLimited, detail).retry_after(retry_after)
    })
}
