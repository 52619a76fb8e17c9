//! What kind of problem a request has met.

/// What kind of problem, each with a stable `type` and a status. `docs/src/problems.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// No app has this name.
    UnknownApp,
    /// The host serves nothing at this path.
    NotFound,
    /// To change something takes the admin token.
    Unauthorized,
    /// The caller is not allowed to do this.
    Forbidden,
    /// What is asked for is not possible as things are.
    Conflict,
    /// Method not allowed.
    MethodNotAllowed,
    /// The path and query are longer than the host takes.
    UrlTooLong,
    /// The request has more headers, or larger ones, than the host takes.
    HeadersTooLarge,
    /// The request's body is larger than `body_limit`.
    BodyTooLarge,
    /// Malformed request.
    BadRequest,
    /// What is at this path does not take a body of this type.
    UnsupportedMediaType,
    /// What is at this path is a WebSocket, of a version that was not asked for.
    UpgradeRequired,
    /// The client did not send the rest of its request's body.
    RequestTimeout,
    /// The app answered with an error of this status.
    AppError(u16),
    /// A handler panicked.
    AppPanicked,
    /// The worker ended, or what it answered is not HTTP.
    BadGateway,
    /// More requests came within a second than the app takes.
    RateLimited,
    /// The app has used up a quota.
    QuotaUsedUp,
    /// The inbox is full, or as many requests are in flight as may be.
    Overloaded,
    /// App unavailable.
    Unavailable,
    /// There was no answer within `deadline_ms`.
    DeadlineExceeded,
}

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownApp | Self::NotFound => 404,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::Conflict => 409,
            Self::MethodNotAllowed => 405,
            Self::UrlTooLong => 414,
            Self::HeadersTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::BadRequest => 400,
            Self::UnsupportedMediaType => 415,
            Self::UpgradeRequired => 426,
            Self::RequestTimeout => 408,
            Self::AppError(status) => status,
            Self::AppPanicked => 500,
            Self::BadGateway => 502,
            Self::RateLimited | Self::QuotaUsedUp => 429,
            Self::Overloaded | Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        }
    }

    /// The last part of the problem's `type`, which is `urn:atoll:problem:` and this.
    pub fn slug(self) -> &'static str {
        match self {
            Self::UnknownApp => "unknown-app",
            Self::NotFound => "not-found",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UrlTooLong => "url-too-long",
            Self::HeadersTooLarge => "headers-too-large",
            Self::BodyTooLarge => "body-too-large",
            Self::BadRequest => "bad-request",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::UpgradeRequired => "upgrade-required",
            Self::RequestTimeout => "request-timeout",
            Self::AppError(_) => "app-error",
            Self::AppPanicked => "app-panicked",
            Self::BadGateway => "bad-gateway",
            Self::RateLimited => "rate-limited",
            Self::QuotaUsedUp => "quota-used-up",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::DeadlineExceeded => "deadline-exceeded",
        }
    }

    /// The kind with this [slug](Self::slug), and this status where the slug leaves it open.
    ///
    /// ```
    /// use atoll_port::problem::ProblemKind;
    /// assert_eq!(ProblemKind::from_slug("unknown-app", 404), Some(ProblemKind::UnknownApp));
    /// assert_eq!(ProblemKind::from_slug("app-error", 422), Some(ProblemKind::AppError(422)));
    /// assert_eq!(ProblemKind::from_slug("none", 500), None);
    /// ```
    pub fn from_slug(slug: &str, status: u16) -> Option<Self> {
        Some(match slug {
            "unknown-app" => Self::UnknownApp,
            "not-found" => Self::NotFound,
            "unauthorized" => Self::Unauthorized,
            "forbidden" => Self::Forbidden,
            "conflict" => Self::Conflict,
            "method-not-allowed" => Self::MethodNotAllowed,
            "url-too-long" => Self::UrlTooLong,
            "headers-too-large" => Self::HeadersTooLarge,
            "body-too-large" => Self::BodyTooLarge,
            "bad-request" => Self::BadRequest,
            "unsupported-media-type" => Self::UnsupportedMediaType,
            "upgrade-required" => Self::UpgradeRequired,
            "request-timeout" => Self::RequestTimeout,
            "app-error" => Self::AppError(status),
            "app-panicked" => Self::AppPanicked,
            "bad-gateway" => Self::BadGateway,
            "rate-limited" => Self::RateLimited,
            "quota-used-up" => Self::QuotaUsedUp,
            "overloaded" => Self::Overloaded,
            "unavailable" => Self::Unavailable,
            "deadline-exceeded" => Self::DeadlineExceeded,
            _ => return None,
        })
    }

    /// A short text that is the same for all problems of the kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::UnknownApp => "Unknown app",
            Self::NotFound => "Not found",
            Self::Unauthorized => "Missing or invalid admin token",
            Self::Forbidden => "Forbidden",
            Self::Conflict => "Conflict with the current state",
            Self::MethodNotAllowed => "Method not allowed",
            Self::UrlTooLong => "URL too long",
            Self::HeadersTooLarge => "Request headers too large",
            Self::BodyTooLarge => "Request body too large",
            Self::BadRequest => "Malformed request",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::UpgradeRequired => "WebSocket upgrade required",
            Self::RequestTimeout => "Request timeout",
            Self::AppError(400..=499) => "The app rejected the request",
            Self::AppError(_) => "Internal error in the app",
            Self::AppPanicked => "The app panicked",
            Self::BadGateway => "Bad response from the app",
            Self::RateLimited => "Rate limit exceeded",
            Self::QuotaUsedUp => "Quota used up",
            Self::Overloaded => "App overloaded",
            Self::Unavailable => "App unavailable",
            Self::DeadlineExceeded => "Deadline exceeded",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A kind after each, so that one that is added has to be named here.
    fn after(kind: ProblemKind) -> Option<ProblemKind> {
        Some(match kind {
            ProblemKind::UnknownApp => ProblemKind::NotFound,
            ProblemKind::NotFound => ProblemKind::Unauthorized,
            ProblemKind::Unauthorized => ProblemKind::Forbidden,
            ProblemKind::Forbidden => ProblemKind::Conflict,
            ProblemKind::Conflict => ProblemKind::MethodNotAllowed,
            ProblemKind::MethodNotAllowed => ProblemKind::UrlTooLong,
            ProblemKind::UrlTooLong => ProblemKind::HeadersTooLarge,
            ProblemKind::HeadersTooLarge => ProblemKind::BodyTooLarge,
            ProblemKind::BodyTooLarge => ProblemKind::BadRequest,
            ProblemKind::BadRequest => ProblemKind::UnsupportedMediaType,
            ProblemKind::UnsupportedMediaType => ProblemKind::UpgradeRequired,
            ProblemKind::UpgradeRequired => ProblemKind::RequestTimeout,
            ProblemKind::RequestTimeout => ProblemKind::AppError(503),
            ProblemKind::AppError(_) => ProblemKind::AppPanicked,
            ProblemKind::AppPanicked => ProblemKind::BadGateway,
            ProblemKind::BadGateway => ProblemKind::RateLimited,
            ProblemKind::RateLimited => ProblemKind::QuotaUsedUp,
            ProblemKind::QuotaUsedUp => ProblemKind::Overloaded,
            ProblemKind::Overloaded => ProblemKind::Unavailable,
            ProblemKind::Unavailable => ProblemKind::DeadlineExceeded,
            ProblemKind::DeadlineExceeded => return None,
        })
    }

    #[test]
    fn the_book_has_all_kinds_with_their_statuses() {
        let page = include_str!("../../../../docs/src/problems.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let rows: BTreeMap<_, _> = rows.collect();
        let kinds: Vec<_> =
            std::iter::successors(Some(ProblemKind::UnknownApp), |kind| after(*kind)).collect();
        for kind in &kinds {
            assert_eq!(ProblemKind::from_slug(kind.slug(), kind.status()), Some(*kind));
            let status = match kind {
                ProblemKind::AppError(_) => "400 to 599".to_owned(),
                kind => kind.status().to_string(),
            };
            let row = rows
                .get(kind.slug())
                .unwrap_or_else(|| panic!("docs/src/problems.md lacks `{}`", kind.slug()));
            assert!(
                row.starts_with(&format!("{status} | ")),
                "docs/src/problems.md: `{}`: {row}",
                kind.slug()
            );
        }
        assert_eq!(
            rows.len(),
            kinds.len(),
            "docs/src/problems.md has a kind that is none: {:?}",
            rows.keys()
        );
    }
}
