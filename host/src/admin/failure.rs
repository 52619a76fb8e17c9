//! A problem as an answer of the admin API.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Json;
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};

use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::RequestId;

/// What a handler of the admin API answers.
pub(super) type Answer<T> = Result<Json<T>, Failure>;

/// What a handler of the admin API fails with.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Problem);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if self.0.kind() == ProblemKind::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.0.retry_after_seconds() {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        let request_id = RequestId::new();
        response.content_type("application/problem+json").body(self.0.to_json(request_id.as_str()))
    }
}

/// There is nothing at a request's path.
pub(super) fn not_found(request: &HttpRequest) -> Failure {
    let path = request.path();
    let detail = format!("The admin API has nothing at {path}. See /api/v1/openapi.json.");
    Failure(Problem::new(ProblemKind::NotFound, detail))
}

impl Responder for Failure {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
