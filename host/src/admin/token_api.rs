//! The paths of the admin API that create, list and revoke tokens. They take the admin token or the Unix socket.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Json, Path, ServiceConfig, block};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::failure::{Answer, Failure};
use super::openapi::{Refused, Unable};
use super::tokens::{Permission, Token, Tokens, TokensError};
use crate::config::{AppPattern, is_app_name};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::unix_time::now_ms;

pub(super) fn configure(service: &mut ServiceConfig) {
    service
        .route("/api/v1/tokens", web::get().to(list_tokens))
        .route("/api/v1/tokens", web::post().to(create_token))
        .route("/api/v1/tokens/{name}", web::delete().to(revoke_token));
}

/// A token to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name: 1 to 64 characters as in the name of an app. It must be unique.
    #[schema(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    pub name: String,
    /// The apps of its scope.
    #[schema(min_items = 1)]
    pub apps: Vec<AppPattern>,
    /// What it allows.
    #[schema(min_items = 1)]
    pub permissions: BTreeSet<Permission>,
    /// When it expires, in milliseconds since 1970; `null`: never.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, minimum = 0)]
    pub expires_ms: Option<u64>,
}

/// A token that was created.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// What to send to the host. The host keeps only its hash: nothing shows it again.
    pub secret: String,
    /// The token.
    #[serde(flatten)]
    pub token: Token,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct NamedToken {
    /// The token's name.
    name: String,
}

/// The tokens by name, without their secrets
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "tokens",
    security(("token" = [])),
    responses((status = 200, body = Vec<Token>), Refused, Unable)
)]
async fn list_tokens(tokens: Data<Tokens>) -> Answer<Vec<Token>> {
    Ok(Json(blocking(move || tokens.list()).await?))
}

/// Creates a token for some apps; only this response contains its secret
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "tokens",
    security(("token" = [])),
    request_body = NewToken,
    responses((status = 200, body = CreatedToken), Refused, Unable)
)]
async fn create_token(tokens: Data<Tokens>, new: Json<NewToken>) -> Answer<CreatedToken> {
    let NewToken { name, apps, permissions, expires_ms } = new.into_inner();
    let created_ms = now_ms();
    let wrong = |detail: String| Err(Problem::new(ProblemKind::BadRequest, detail).into());
    if !is_app_name(&name) || [Caller::LOCAL, Caller::ADMIN].contains(&&*name) {
        return wrong(format!(
            "invalid token name {name:?}: expected 1 to 64 characters a-z A-Z 0-9 - _ . that start with a letter or digit, but not local or admin."
        ));
    }
    if apps.is_empty() || permissions.is_empty() {
        return wrong("a token takes at least one app and one permission.".to_owned());
    }
    if expires_ms.is_some_and(|end| end <= created_ms) {
        return wrong("expires_ms is in the past.".to_owned());
    }
    let token = Token { name, apps, permissions, created_ms, expires_ms };
    let same = token.clone();
    let secret = blocking(move || tokens.create(same)).await?;
    log::info!("created the token {}", token.name);
    Ok(Json(CreatedToken { secret, token }))
}

/// Revokes a token: it is refused from now on
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{name}",
    tag = "tokens",
    params(NamedToken),
    security(("token" = [])),
    responses((status = 204), Refused, Unable)
)]
async fn revoke_token(tokens: Data<Tokens>, path: Path<NamedToken>) -> Result<HttpResponse, Failure> {
    let NamedToken { name } = path.into_inner();
    let shown = name.clone();
    blocking(move || tokens.revoke(&name)).await?;
    log::info!("revoked the token {shown}");
    Ok(HttpResponse::NoContent().finish())
}

/// Works with the file, apart from the thread that serves the API.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TokensError> + Send + 'static,
) -> Result<T, Failure> {
    let done = block(work).await;
    let done = done.map_err(|error| Problem::new(ProblemKind::AppError(500), error.to_string()))?;
    done.map_err(|error| {
        let kind = match error {
            TokensError::Exists(_) | TokensError::TooMany | TokensError::NoFolder => ProblemKind::Conflict,
            TokensError::Unknown(_) => ProblemKind::NotFound,
            TokensError::File { .. } | TokensError::Damaged { .. } | TokensError::Random => {
                ProblemKind::AppError(500)
            }
        };
        Failure(Problem::new(kind, error.to_string()))
    })
}
