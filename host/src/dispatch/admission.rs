//! Whether an app takes another request from outside now.

use crate::app::handle::App;
use crate::app::rate_limit::RateLimited;
use crate::dispatch::problem::{Problem, ProblemKind};

/// Admits one request to the app.
///
/// # Errors
/// More requests came within a second than the app's `rate`.
pub(crate) fn admit(app: &App) -> Result<(), Problem> {
    app.rate_limit().check().map_err(|RateLimited { per_second, retry_after }| {
        let name = app.registered_name();
        let detail = format!(
            "The app `{name}` has reached its rate limit of {per_second} requests per second (rate = {per_second})."
        );
        Problem::new(ProblemKind::RateLimited, detail).retry_after(retry_after)
    })
}
