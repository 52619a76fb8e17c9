//! How large a request's head may be. [`ServerLimits`](super::server_limits::ServerLimits) has the size of its headers.
//!
//! The HTTP/1 parser has separate limits: the same number of headers, 64 KiB for the target, and 128 KiB in all. It
//! answers what is past them without a word of explanation, with 431, or with 400 for the target.

use actix_web::HttpRequest;

use crate::dispatch::problem::{Problem, ProblemKind};

/// The longest target (path and query), in bytes.
pub(crate) const MAX_TARGET: usize = 32 * 1024;
/// The most headers.
pub(crate) const MAX_HEADERS: usize = 96;

/// Whether the trailers of a request are within the limits, which are those of its headers: `most` bytes.
pub(super) fn check_trailers(trailers: &http::HeaderMap, most: usize) -> Result<(), Problem> {
    let bytes: usize = trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if trailers.len() > MAX_HEADERS || bytes > most {
        let detail = format!(
            "The request has {} trailers with {bytes} bytes; the limits are {MAX_HEADERS} trailers and \
            {most} bytes.",
            trailers.len()
        );
        return Err(Problem::new(ProblemKind::HeadersTooLarge, detail));
    }
    Ok(())
}

/// Whether the head is within the limits: its headers have at most so many bytes in all names and values together.
pub(super) fn check(request: &HttpRequest, most: usize) -> Result<(), Problem> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        let detail = format!("The path and query have {target} bytes; the limit is {MAX_TARGET}.");
        return Err(Problem::new(ProblemKind::UrlTooLong, detail));
    }
    let headers = request.headers();
    let (count, bytes) = headers
        .iter()
        .fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.as_str().len() + value.len()));
    if count > MAX_HEADERS || bytes > most {
        let detail = format!(
            "The request has {count} headers with {bytes} bytes; the limits are {MAX_HEADERS} headers and \
            {most} bytes."
        );
        return Err(Problem::new(ProblemKind::HeadersTooLarge, detail));
    }
    Ok(())
}
