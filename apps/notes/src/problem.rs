//! What clients are told when something cannot be done (RFC 9457).

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// A problem document.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    /// What is wrong, by the field's name.
    errors: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Map::new() }
    }

    pub(crate) fn no_note(id: i64) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no note {id}"))
    }

    /// Fields that have values which are not allowed, each with what is; `Ok` when there are none.
    pub(crate) fn of_fields<const N: usize>(fields: [(&str, bool, String); N]) -> Result<(), Self> {
        let wrong = fields.into_iter().filter(|(_, is_wrong, _)| *is_wrong);
        let errors: Map<_, _> = wrong.map(|(name, _, allowed)| (name.to_owned(), allowed.into())).collect();
        if errors.is_empty() {
            return Ok(());
        }
        Err(Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "some fields are not valid") })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.errors.is_empty() {
            document["errors"] = self.errors.into();
        }
        (self.status, [(header::CONTENT_TYPE, "application/problem+json")], Json(document)).into_response()
    }
}

/// What axum says of a request that does not fit.
macro_rules! from_rejection {
    ($($rejection:ty),+) => {$(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )+};
}
from_rejection!(JsonRejection, PathRejection, QueryRejection);

/// The client cannot do anything about it, so it is told no more; the log is.
impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        atoll_plugin::log::error!("the database: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the notes cannot be reached")
    }
}
