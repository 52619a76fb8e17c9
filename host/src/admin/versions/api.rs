//! The paths of the admin API for versions.

use actix_web::web::{self, Data, Json, Path, Payload, Query, ReqData, ServiceConfig};
use serde::Deserialize;
use utoipa::IntoParams;

use super::deployer::Deployer;
use super::model::{NewAppVersion, Promoted, PushedVersion, VersionStatus};
use super::promotion::{PromoteOptions, Promotion};
use crate::admin::access::Caller;
use crate::admin::failure::Answer;
use crate::admin::openapi::{Named, Refused, Unable};
use crate::admin::traffic_model::{NewTraffic, TrafficStatus};
use crate::deploy::{UPLOAD_PIECE, UploadStatus};
use crate::dispatch::problem::{Problem, ProblemKind};

pub(in crate::admin) fn configure(service: &mut ServiceConfig) {
    service
        .route("/api/v1/apps/{app}/files/{hash}", web::get().to(show_file))
        .route("/api/v1/apps/{app}/files/{hash}", web::put().to(append_to_file))
        .route("/api/v1/apps/{app}/versions", web::get().to(list_versions))
        .route("/api/v1/apps/{app}/versions", web::post().to(push_version))
        .route("/api/v1/apps/{app}/versions/{version}/promote", web::post().to(promote_version))
        .route("/api/v1/apps/{app}/rollback", web::post().to(roll_app_back))
        .route("/api/v1/apps/{app}/traffic", web::get().to(show_traffic))
        .route("/api/v1/apps/{app}/traffic", web::put().to(split_traffic));
}

/// A file of an app.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct NamedFile {
    /// The app's name, which need not be registered yet.
    app: String,
    /// The BLAKE3 hash of the file's content, in hexadecimal.
    #[param(pattern = "^[0-9a-f]{64}$")]
    hash: String,
}

/// Where a piece of a file is.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Piece {
    /// How many bytes of the file are before it: as many as the host has received.
    offset: u64,
    /// How many bytes the whole file has.
    size: u64,
}

/// A version of an app.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct NamedVersion {
    /// The app's name.
    app: String,
    /// The version's id, or its beginning; `new` is the newest that is not the current one.
    version: String,
}

/// How much the host has of a file
#[utoipa::path(
    get,
    path = "/api/v1/apps/{app}/files/{hash}",
    tag = "versions",
    params(NamedFile),
    responses((status = 200, body = UploadStatus), Refused, Unable)
)]
async fn show_file(deployer: Data<Deployer>, path: Path<NamedFile>) -> Answer<UploadStatus> {
    let NamedFile { app, hash } = path.into_inner();
    Ok(Json(deployer.into_inner().received(app, hash).await?))
}

/// Uploads a piece of a file, at most 4 MiB, which begins where the host has no more; the last one completes the file
#[utoipa::path(
    put,
    path = "/api/v1/apps/{app}/files/{hash}",
    tag = "versions",
    params(NamedFile, Piece),
    security((), ("token" = [])),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = UploadStatus), Refused, Unable)
)]
async fn append_to_file(
    deployer: Data<Deployer>,
    path: Path<NamedFile>,
    piece: Query<Piece>,
    body: Payload,
) -> Answer<UploadStatus> {
    let (NamedFile { app, hash }, Piece { offset, size }) = (path.into_inner(), piece.into_inner());
    let body = body.to_bytes_limited(UPLOAD_PIECE).await;
    let body = body.map_err(|_| {
        let detail = format!("a piece of a file may have {UPLOAD_PIECE} bytes (upload_piece).");
        Problem::new(ProblemKind::BodyTooLarge, detail)
    })?;
    let body = body.map_err(|error| Problem::new(ProblemKind::BadRequest, error.to_string()))?;
    Ok(Json(deployer.into_inner().append(app, hash, (offset, size), body).await?))
}

/// The versions of an app, the newest first
#[utoipa::path(
    get,
    path = "/api/v1/apps/{app}/versions",
    tag = "versions",
    params(Named),
    responses((status = 200, body = Vec<VersionStatus>), Refused, Unable)
)]
async fn list_versions(deployer: Data<Deployer>, path: Path<Named>) -> Answer<Vec<VersionStatus>> {
    Ok(Json(deployer.into_inner().list(path.into_inner().app).await?))
}

/// Makes a version of uploaded files and an entry for apps.json, and promotes it; an app that is not registered is added
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/versions",
    tag = "versions",
    params(Named),
    security((), ("token" = [])),
    request_body = NewAppVersion,
    responses((status = 200, body = PushedVersion), Refused, Unable)
)]
async fn push_version(
    deployer: Data<Deployer>,
    path: Path<Named>,
    caller: ReqData<Caller>,
    new: Json<NewAppVersion>,
) -> Answer<PushedVersion> {
    let by = caller.name().to_owned();
    Ok(Json(deployer.into_inner().push(path.into_inner().app, by, new.into_inner()).await?))
}

/// How a version is promoted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct How {
    /// Whether to promote it although a rollout of it was aborted; by default not.
    again: Option<bool>,
    /// Whether to promote it without a rollout; by default not.
    now: Option<bool>,
}

/// Makes a version the one that serves: its library and its entry replace those in the folder of apps.json. With the setting
/// `rollout`, this begins its rollout
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/versions/{version}/promote",
    tag = "versions",
    params(NamedVersion, How),
    security((), ("token" = [])),
    responses((status = 200, body = Promoted), Refused, Unable)
)]
async fn promote_version(
    deployer: Data<Deployer>,
    path: Path<NamedVersion>,
    how: Query<How>,
) -> Answer<Promoted> {
    let NamedVersion { app, version } = path.into_inner();
    let options = PromoteOptions { again: how.again.unwrap_or(false), now: how.now.unwrap_or(false) };
    Ok(Json(match deployer.into_inner().promote(app, version, options).await? {
        Promotion::Serves(generation) => Promoted { generation, rollout: None },
        Promotion::Begun(rollout) => Promoted { generation: None, rollout: Some(*rollout) },
    }))
}

/// Promotes the version that served before the current one. An app whose library is not in the folder of apps.json goes back to
/// its previous good library until the next change on disk
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/rollback",
    tag = "versions",
    params(Named),
    security((), ("token" = [])),
    responses((status = 200, body = Promoted), Refused, Unable)
)]
async fn roll_app_back(deployer: Data<Deployer>, path: Path<Named>) -> Answer<Promoted> {
    let generation = deployer.into_inner().roll_back(path.into_inner().app).await?;
    Ok(Json(Promoted { generation, rollout: None }))
}

/// How the requests to an app are split between its versions
#[utoipa::path(
    get,
    path = "/api/v1/apps/{app}/traffic",
    tag = "versions",
    params(Named),
    responses((status = 200, body = TrafficStatus), Refused, Unable)
)]
async fn show_traffic(deployer: Data<Deployer>, path: Path<Named>) -> Answer<TrafficStatus> {
    Ok(Json(deployer.into_inner().traffic(path.into_inner().app).await?))
}

/// Has versions serve beside the current one, which get shares of the clients; a version that is not named no longer serves
#[utoipa::path(
    put,
    path = "/api/v1/apps/{app}/traffic",
    tag = "versions",
    params(Named),
    security((), ("token" = [])),
    request_body = NewTraffic,
    responses((status = 200, body = TrafficStatus), Refused, Unable)
)]
async fn split_traffic(
    deployer: Data<Deployer>,
    path: Path<Named>,
    new: Json<NewTraffic>,
) -> Answer<TrafficStatus> {
    Ok(Json(deployer.into_inner().set_traffic(path.into_inner().app, new.into_inner()).await?))
}
