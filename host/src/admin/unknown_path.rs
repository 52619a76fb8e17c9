//! The answer to what no handler is for.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use super::api;
use super::failure::{Failure, not_found};
use crate::dispatch::problem::{Problem, ProblemKind};

/// The answer to what no handler is for: at a path of the API's, it is the method that is wrong.
pub(super) async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let Some(methods) = api::methods_at(request.path()) else { return not_found(&request).error_response() };
    let detail = format!("{} accepts {methods}, not {}.", request.path(), request.method());
    let mut response = Failure(Problem::new(ProblemKind::MethodNotAllowed, detail)).error_response();
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}
