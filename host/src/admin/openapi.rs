//! The parts of the OpenAPI document besides the paths.

use serde::Deserialize;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify};

use super::model::ProblemDetails;

/// The app.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct Named {
    /// The app's name.
    pub(super) app: String,
}

/// The request is refused.
#[derive(IntoResponses)]
#[response(status = "4XX", content_type = "application/problem+json")]
pub(super) struct Refused(#[expect(dead_code, reason = "it describes the answer")] ProblemDetails);

/// The app, or the host, could not do it.
#[derive(IntoResponses)]
#[response(status = "5XX", content_type = "application/problem+json")]
pub(super) struct Unable(#[expect(dead_code, reason = "it describes the answer")] ProblemDetails);

/// The token, which is asked for where the listener has one.
pub(super) struct Security;

impl Modify for Security {
    fn modify(&self, api: &mut OpenApi) {
        let components = api.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}
