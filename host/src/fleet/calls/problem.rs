//! Problems on their way between hosts.

use std::borrow::Cow;
use std::time::Duration;

use atoll_port::problem::{Problem, ProblemKind};
use atoll_protocol::ErrorObject;
use serde::{Deserialize, Serialize};

/// When a request to an app that no host has now may be repeated.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The text of a problem.
#[derive(Serialize, Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    status: u16,
    #[serde(borrow)]
    detail: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    app_error: Option<ErrorObject<'a>>,
}

/// The text of a problem, for another host.
pub(crate) fn write_problem(problem: &Problem) -> Vec<u8> {
    let kind = problem.kind();
    let text = Text {
        kind: kind.slug().into(),
        status: kind.status(),
        detail: problem.detail().into(),
        retry_after_ms: problem
            .retries_after()
            .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        app_error: problem.app_error().cloned(),
    };
    atoll_port::to_json(&text)
}

/// The problem that another host has written. Of a later version of Atoll it may be of a kind that is unknown here.
pub(crate) fn read_problem(text: &[u8]) -> Problem {
    let Ok(Text { kind, status, detail, retry_after_ms, app_error }) = serde_json::from_slice(text) else {
        return Problem::new(
            ProblemKind::BadGateway,
            "The host that has the app sent a problem that cannot be read.",
        );
    };
    let kind = ProblemKind::from_slug(&kind, status).filter(|_| (400..600).contains(&status));
    let problem = Problem::new(kind.unwrap_or(ProblemKind::BadGateway), detail);
    let problem = match retry_after_ms {
        Some(ms) => problem.retry_after(Duration::from_millis(ms)),
        None => problem,
    };
    problem.with_app_error(app_error.map(|ErrorObject { code, message, data }| ErrorObject {
        code,
        message: message.into_owned().into(),
        data,
    }))
}

/// That no host takes requests of an app now.
pub(crate) fn no_host(app: &str) -> Problem {
    let detail = format!("No host of the fleet serves the app `{app}` now. See `atoll ls --fleet`.");
    Problem::new(ProblemKind::Unavailable, detail).retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_comes_as_it_was_sent() {
        let error = ErrorObject { code: 7, message: "out of \"stock\"".into(), data: Some(json!([1])) };
        for problem in [
            no_host("shop"),
            Problem::new(ProblemKind::AppError(422), "é").with_app_error(Some(error)),
            Problem::new(ProblemKind::DeadlineExceeded, ""),
        ] {
            assert_eq!(read_problem(&write_problem(&problem)), problem);
        }
    }

    #[test]
    fn what_is_no_problem_is_one() {
        let unknown = br#"{"kind":"new","status":499,"detail":"x"}"#;
        for text in [&b""[..], b"{}", br#"{"kind":"app-error","status":7,"detail":"x"}"#, unknown] {
            assert_eq!(read_problem(text).kind(), ProblemKind::BadGateway);
        }
    }
}
