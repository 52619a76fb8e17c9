//! Response headers for debugging: timing and version.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};

use crate::generation::handle::Generation;
use crate::observe::timing::RequestTiming;

/// Says how long the request has waited for a worker, and how long the app took, beside what the app itself says of it.
pub(super) fn add_times(response: &mut HttpResponse, times: RequestTiming) {
    append(response, HeaderName::from_static(TIMES), times_text(times));
}

/// Adds which other host of the fleet has answered, and how long that took, to the times that this host reports.
pub(super) fn add_host(response: &mut HttpResponse, host: Option<&str>, times: RequestTiming) {
    let millis = (times.queue + times.handler).as_secs_f64() * 1000.0;
    // The name of a host has no characters that are to be escaped.
    let host = host.unwrap_or_default();
    append(response, HeaderName::from_static(TIMES), format!("fleet;dur={millis:.3};desc=\"{host}\""));
}

/// The header with the times of a request.
pub(crate) const TIMES: &str = "server-timing";

/// The value of [`TIMES`].
pub(crate) fn times_text(times: RequestTiming) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    format!("queue;dur={:.3}, app;dur={:.3}", millis(times.queue), millis(times.handler))
}

/// Sets the header that identifies the app, replacing the app's value.
pub(super) fn add_app(response: &mut HttpResponse, generation: &Generation) {
    let name = HeaderName::from_static(APP);
    response.headers_mut().remove(&name);
    append(response, name, app_text(generation));
}

/// The header that identifies the app.
pub(crate) const APP: &str = "x-atoll-app";

/// The value of [`APP`].
pub(crate) fn app_text(generation: &Generation) -> String {
    format!("{}/{}#{}", generation.app(), generation.version(), generation.number())
}

fn append(response: &mut HttpResponse, name: HeaderName, value: String) {
    // A version is whatever the library's stamp says, which may be no header's value.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().append(name, value);
    }
}
