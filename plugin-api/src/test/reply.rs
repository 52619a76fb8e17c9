//! What an app answers a request with, as its client sees it.

use atoll_port::answer::{self, AnswerError};
use serde_json::json;

use super::follows::Follows;
use crate::abi::Message;
use crate::http::payload::Payload;
use crate::protocol::{Body, ErrorData, ErrorObject, Header, HttpResponse, code};
use crate::worker::host::Fetched;

/// An answer, without the body that may follow.
pub(super) struct Reply {
    pub(super) response: Fetched,
    pub(super) follows: Follows,
    /// It has no body, whatever the app sends.
    pub(super) is_bodiless: bool,
    /// Why there is no other answer.
    pub(super) error: Option<ErrorObject<'static>>,
}

impl Reply {
    /// Reads an app's answer. What the app says of an error is in it, as it is for those who write the app.
    pub(super) fn read(app: &str, mut message: Message, follows: Follows) -> Self {
        let json = message.take_json();
        let malformed = |error: AnswerError| {
            let detail = format!("The app `{app}` did not return a valid HTTP response: {error}");
            Self::refused(502, "bad-gateway", "Bad response from the app", &detail, None)
        };
        let HttpResponse { status, headers, body } = match answer::http(&json) {
            Ok(response) => response,
            Err(AnswerError::Failed(error)) => return Self::failed(app, error),
            Err(error) => return malformed(error),
        };
        let body = match body {
            Some(Body::Transfer(index)) => Payload::Buffer(message.transfer.take(index).unwrap_or_default()),
            _ => Payload::Empty,
        };
        let headers = headers
            .into_iter()
            .map(|Header(name, value)| Header(name.into_owned().into(), value.into_owned().into()))
            .collect();
        Self { response: Fetched::new(status, headers, body), follows, is_bodiless: false, error: None }
    }

    /// As a client gets it that has sent a `HEAD` request, or another one.
    pub(super) fn to(mut self, is_head: bool) -> Self {
        self.is_bodiless = is_head || matches!(self.response.status(), 204 | 304);
        if self.is_bodiless {
            self.response.set_body(Payload::Empty);
        }
        self
    }

    /// The worker has ended.
    pub(super) fn gone(app: &str) -> Self {
        let detail =
            format!("A worker of the app `{app}` exited during this request, which may have taken effect.");
        let error = ErrorObject { code: code::UNAVAILABLE, message: detail.clone().into(), data: None };
        Self::refused(502, "bad-gateway", "Bad response from the app", &detail, Some(error))
    }

    fn failed(app: &str, error: ErrorObject<'static>) -> Self {
        let (status, slug, title, detail) = match error.code {
            code::HANDLER_PANICKED => {
                let detail = format!("A handler of the app `{app}` panicked: {}", error.message);
                (500, "app-panicked", "The app panicked", detail)
            }
            code::BODY_TOO_LARGE => {
                (413, "body-too-large", "Request body too large", error.message.clone().into_owned())
            }
            code::CANCELLED => {
                let detail = format!("The app `{app}` dropped the request.");
                (504, "deadline-exceeded", "Deadline exceeded", detail)
            }
            _ => {
                let data = error.data.clone().and_then(|data| serde_json::from_value::<ErrorData>(data).ok());
                match data.map(|data| data.status).filter(|status| (400..600).contains(status)) {
                    Some(status) if status < 500 => {
                        let detail = error.message.clone().into_owned();
                        (status, "app-error", "The app rejected the request", detail)
                    }
                    status => {
                        let detail = format!("A handler of the app `{app}` failed: {}", error.message);
                        (status.unwrap_or(500), "app-error", "Internal error in the app", detail)
                    }
                }
            }
        };
        Self::refused(status, slug, title, &detail, Some(error))
    }

    fn refused(
        status: u16,
        slug: &str,
        title: &str,
        detail: &str,
        error: Option<ErrorObject<'static>>,
    ) -> Self {
        let kind = format!("urn:atoll:problem:{slug}");
        let problem = json!({ "type": kind, "title": title, "status": status, "detail": detail });
        let headers = vec![Header("content-type".into(), "application/problem+json".into())];
        let response = Fetched::new(status, headers, Payload::Vec(problem.to_string().into_bytes()));
        Self { response, follows: Follows::Nothing, is_bodiless: false, error }
    }
}
