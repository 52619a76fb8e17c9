//! The paths of the admin API.

use std::sync::LazyLock;

use actix_web::dev::ResourceDef;
use actix_web::http::header;
use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use log::LevelFilter;
use serde::Deserialize;
use utoipa::openapi::PathItem;
use utoipa::{IntoParams, OpenApi};

use super::failure::{Answer, Failure};
use super::invoke;
use super::model::{
    AppDetails, AppStatus, EffectiveConfig, HostStatus, Invocation, Invoked, LogLevel, ProblemDetails,
    Serving,
};
use super::openapi::{Named, Refused, Security, Unable};
use super::state::State;
use super::stats::{self, Stats, StatsHistory};
use super::versions::Deployer;
use super::{fleet, token_api, versions};
use crate::admin::metrics::Exposition;
use crate::app::unavailable::Unavailable;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::http::sse;
use crate::observe::entries::LogEntry;
use crate::observe::events::HostEvent;
use crate::observe::usage::UsageReport;
use crate::registry::QuotaStatus;

/// The default number of log records.
const RECORDS: usize = 100;

/// The description of the API in the OpenAPI form.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Atoll admin API",
        description = "Inspect and control a running Atoll host. See the page on operating a host in the book.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        show_status, list_apps, show_app, start_app, stop_app, reload_app, enable_app, disable_app,
        set_log_level, show_log, follow_log, follow_events, follow_stats, show_stats_history, show_app_stats, show_usage, show_quotas, show_config, show_metrics, invoke_app, show_api,
        token_api::list_tokens, token_api::create_token, token_api::revoke_token, versions::api::show_file,
        versions::api::append_to_file, versions::api::list_versions, versions::api::push_version,
        versions::api::promote_version, versions::api::roll_app_back, versions::api::show_traffic,
        versions::api::split_traffic, fleet::api::show_fleet
    ),
    components(schemas(HostEvent, ProblemDetails)),
    modifiers(&Security),
)]
pub(super) struct Api;

/// Adds the API's paths.
pub(super) fn configure(service: &mut ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(1 << 20)
        .error_handler(|error, _| Failure(Problem::new(ProblemKind::BadRequest, error.to_string())).into());
    let query = web::QueryConfig::default()
        .error_handler(|error, _| Failure(Problem::new(ProblemKind::BadRequest, error.to_string())).into());
    service
        .app_data(json)
        .app_data(query)
        .route("/api/v1/status", web::get().to(show_status))
        .route("/api/v1/apps", web::get().to(list_apps))
        .route("/api/v1/apps/{app}", web::get().to(show_app))
        .route("/api/v1/apps/{app}/start", web::post().to(start_app))
        .route("/api/v1/apps/{app}/stop", web::post().to(stop_app))
        .route("/api/v1/apps/{app}/reload", web::post().to(reload_app))
        .route("/api/v1/apps/{app}/enable", web::post().to(enable_app))
        .route("/api/v1/apps/{app}/disable", web::post().to(disable_app))
        .route("/api/v1/apps/{app}/log-level", web::put().to(set_log_level))
        .route("/api/v1/apps/{app}/log", web::get().to(show_log))
        .route("/api/v1/apps/{app}/log/stream", web::get().to(follow_log))
        .route("/api/v1/events", web::get().to(follow_events))
        .route("/api/v1/usage", web::get().to(show_usage))
        .route("/api/v1/quotas", web::get().to(show_quotas))
        .route("/api/v1/config", web::get().to(show_config))
        .route("/api/v1/apps/{app}/invoke", web::post().to(invoke_app))
        .route("/metrics", web::get().to(show_metrics))
        .route("/api/v1/stats", web::get().to(follow_stats))
        .route("/api/v1/stats/history", web::get().to(show_stats_history))
        .route("/api/v1/apps/{app}/stats", web::get().to(show_app_stats))
        .route("/api/v1/openapi.json", web::get().to(show_api))
        .configure(token_api::configure)
        .configure(versions::api::configure)
        .configure(fleet::api::configure);
}

/// The methods of the API at this path, as `Allow` has them; `None`: it has no such path.
pub(super) fn methods_at(path: &str) -> Option<String> {
    static PATHS: LazyLock<Vec<(ResourceDef, String)>> = LazyLock::new(|| {
        let methods = |item: &PathItem| methods_of(item).collect::<Vec<_>>().join(", ");
        let paths = Api::openapi().paths.paths;
        paths.iter().map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect()
    });
    PATHS.iter().find(|(known, _)| known.is_match(path)).map(|(_, methods)| methods.clone())
}

fn methods_of(item: &PathItem) -> impl Iterator<Item = &'static str> {
    let methods = [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)];
    methods.into_iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| name)
}

/// The methods and paths of all operations, by path.
#[cfg(test)]
pub(super) fn operations() -> Vec<(&'static str, String)> {
    let paths = Api::openapi().paths.paths;
    paths.iter().flat_map(|(path, item)| methods_of(item).map(|method| (method, path.clone()))).collect()
}

/// The host and all its apps
#[utoipa::path(get, path = "/api/v1/status", tag = "host", params(Past), responses((status = 200, body = HostStatus), Refused))]
async fn show_status(state: Data<State>, past: Query<Past>) -> Json<HostStatus> {
    Json(state.host(past.limit()))
}

/// The apps by name
#[utoipa::path(get, path = "/api/v1/apps", tag = "apps", params(Past), responses((status = 200, body = Vec<AppStatus>), Refused))]
async fn list_apps(state: Data<State>, past: Query<Past>) -> Json<Vec<AppStatus>> {
    Json(state.apps(past.limit()))
}

/// All details of one app
#[utoipa::path(
    get,
    path = "/api/v1/apps/{app}",
    tag = "apps",
    params(Named),
    responses((status = 200, body = AppDetails), Refused)
)]
async fn show_app(state: Data<State>, path: Path<Named>) -> Answer<AppDetails> {
    Ok(Json(state.details(&path.app)?))
}

/// Starts an app, including one that has failed
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/start",
    tag = "apps",
    params(Named),
    security((), ("token" = [])),
    responses((status = 200, body = Serving), Refused, Unable)
)]
async fn start_app(state: Data<State>, path: Path<Named>) -> Answer<Serving> {
    match state.app(&path.app)?.start().await {
        Ok(generation) => Ok(Json(Serving { generation })),
        Err(error @ (Unavailable::StandsBy | Unavailable::Disabled | Unavailable::Faulted(_))) => {
            Err(Problem::new(ProblemKind::Conflict, error.to_string()).into())
        }
        Err(error) => Err(Problem::new(ProblemKind::Unavailable, error.to_string()).into()),
    }
}

/// Stops an app after it has finished its requests; the next request starts it again
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/stop",
    tag = "apps",
    params(Named),
    security((), ("token" = [])),
    responses((status = 204), Refused)
)]
async fn stop_app(state: Data<State>, path: Path<Named>) -> Result<HttpResponse, Failure> {
    state.app(&path.app)?.stop().await;
    Ok(HttpResponse::NoContent().finish())
}

/// Reloads an app's library, even if it seems unchanged
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/reload",
    tag = "apps",
    params(Named),
    security((), ("token" = [])),
    responses((status = 200, body = Serving), Refused)
)]
async fn reload_app(state: Data<State>, path: Path<Named>) -> Answer<Serving> {
    serving(state.app(&path.app)?.reload().await)
}

fn serving(done: Result<u64, String>) -> Answer<Serving> {
    match done {
        Ok(generation) => Ok(Json(Serving { generation })),
        Err(reason) => Err(Problem::new(ProblemKind::Conflict, reason).into()),
    }
}

/// Enables an app, so that requests start it again
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/enable",
    tag = "apps",
    params(Named),
    security((), ("token" = [])),
    responses((status = 204), Refused)
)]
async fn enable_app(state: Data<State>, path: Path<Named>) -> Result<HttpResponse, Failure> {
    state.app(&path.app)?.enable().await;
    Ok(HttpResponse::NoContent().finish())
}

/// Stops an app and rejects its requests until it is enabled or the host restarts
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/disable",
    tag = "apps",
    params(Named),
    security((), ("token" = [])),
    responses((status = 204), Refused)
)]
async fn disable_app(state: Data<State>, path: Path<Named>) -> Result<HttpResponse, Failure> {
    state.app(&path.app)?.disable().await;
    Ok(HttpResponse::NoContent().finish())
}

/// Sets an app's log level, overriding `RUST_LOG` until the host restarts
#[utoipa::path(
    put,
    path = "/api/v1/apps/{app}/log-level",
    tag = "logs",
    params(Named),
    security((), ("token" = [])),
    request_body = LogLevel,
    responses((status = 204), Refused)
)]
async fn set_log_level(
    state: Data<State>,
    path: Path<Named>,
    level: Json<LogLevel>,
) -> Result<HttpResponse, Failure> {
    let app = state.app(&path.app)?;
    let LogLevel { level } = level.into_inner();
    let parsed = level.as_deref().map(str::parse::<LevelFilter>).transpose().map_err(|_| {
        let detail = format!(
            "invalid level {:?}: expected off, error, warn, info, debug, trace or null.",
            level.unwrap_or_default()
        );
        Problem::new(ProblemKind::BadRequest, detail)
    })?;
    app.set_log_level(parsed);
    Ok(HttpResponse::NoContent().finish())
}

/// How much of the history to return.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Past {
    /// The maximum number of recent transitions of each app; by default all that are kept.
    #[param(value_type = Option<u64>, maximum = 4294967295_u64)]
    history: Option<u32>,
}

impl Past {
    fn limit(&self) -> usize {
        self.history.map_or(usize::MAX, |most| most as usize)
    }
}

/// How much of a log to return.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Amount {
    /// The maximum number of most recent records; 100 by default.
    #[param(value_type = Option<u64>, maximum = 4294967295_u64)]
    limit: Option<u32>,
    /// The id of a version that serves beside the current one, whose log is returned; by default that of the current one.
    version: Option<String>,
}

impl Amount {
    fn limit(&self) -> usize {
        self.limit.map_or(RECORDS, |most| most as usize)
    }
}

/// The most recent log records of an app, oldest first
#[utoipa::path(
    get,
    path = "/api/v1/apps/{app}/log",
    tag = "logs",
    params(Named, Amount),
    responses((status = 200, body = Vec<LogEntry>), Refused)
)]
async fn show_log(
    state: Data<State>,
    path: Path<Named>,
    amount: Query<Amount>,
) -> Result<HttpResponse, Failure> {
    let app = state.app_or_version(&path.app, amount.version.as_deref())?;
    let entries = app.app_log().log(amount.limit());
    let entries: Vec<&LogEntry> = entries.iter().map(|entry| &**entry).collect();
    Ok(HttpResponse::Ok().json(entries))
}

/// The most recent log records of an app and all new ones, as server-sent events: `record`, and `missed` with the
/// number of records that a slow reader has missed
#[utoipa::path(
    get,
    path = "/api/v1/apps/{app}/log/stream",
    tag = "logs",
    params(Named, Amount),
    responses((status = 200, body = LogEntry, content_type = "text/event-stream"), Refused)
)]
async fn follow_log(
    state: Data<State>,
    path: Path<Named>,
    amount: Query<Amount>,
) -> Result<HttpResponse, Failure> {
    let app = state.app_or_version(&path.app, amount.version.as_deref())?;
    let (last, next) = app.app_log().follow(amount.limit());
    Ok(sse::response("record", last, next))
}

/// The transitions of all apps, as server-sent events: `event`, and `missed` with the number of events that a slow
/// reader has missed
#[utoipa::path(get, path = "/api/v1/events", tag = "host", responses((status = 200, body = HostEvent, content_type = "text/event-stream")))]
async fn follow_events(state: Data<State>) -> HttpResponse {
    sse::response("event", Vec::new(), state.events.follow())
}

/// The figures of all apps once a second, as server-sent events: `stats`
#[utoipa::path(get, path = "/api/v1/stats", tag = "host", responses((status = 200, body = Stats, content_type = "text/event-stream")))]
async fn follow_stats(state: Data<State>) -> HttpResponse {
    stats::response(state.registry.clone())
}

/// The figures of all apps together in the last 15 minutes
#[utoipa::path(get, path = "/api/v1/stats/history", tag = "host", responses((status = 200, body = StatsHistory)))]
async fn show_stats_history(state: Data<State>) -> Json<StatsHistory> {
    Json(state.history.of(None))
}

/// The figures of an app in the last 15 minutes
#[utoipa::path(get, path = "/api/v1/apps/{app}/stats", tag = "apps", params(Named), responses((status = 200, body = StatsHistory), Refused))]
async fn show_app_stats(state: Data<State>, path: Path<Named>) -> Answer<StatsHistory> {
    let app = state.app(&path.app)?;
    Ok(Json(state.history.of(Some(app.name()))))
}

/// Which usage to return.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Period {
    /// An app's name; by default all apps.
    app: Option<String>,
    /// A time in the first hour, in milliseconds since 1970; by default from the beginning.
    #[param(minimum = 0)]
    since_ms: Option<u64>,
    /// A time in the last hour, in milliseconds since 1970; by default until now.
    #[param(minimum = 0)]
    until_ms: Option<u64>,
}

/// What apps have used, by app and library, in whole hours; the totals survive the host
#[utoipa::path(get, path = "/api/v1/usage", tag = "host", params(Period), responses((status = 200, body = UsageReport), Refused))]
async fn show_usage(state: Data<State>, period: Query<Period>) -> Answer<UsageReport> {
    let Period { app, since_ms, until_ms } = period.into_inner();
    Ok(Json(state.usage(app.as_deref(), since_ms, until_ms)?))
}

/// The quotas of apps.json, with what is used of them
#[utoipa::path(get, path = "/api/v1/quotas", tag = "host", responses((status = 200, body = Vec<QuotaStatus>), Refused, Unable))]
async fn show_quotas(state: Data<State>, deployer: Data<Deployer>) -> Answer<Vec<QuotaStatus>> {
    Ok(Json(deployer.into_inner().with_storage(state.registry.quotas()).await?))
}

/// The effective configuration with the origin of each setting
#[utoipa::path(get, path = "/api/v1/config", tag = "host", responses((status = 200, body = EffectiveConfig)))]
async fn show_config(state: Data<State>) -> Json<EffectiveConfig> {
    Json(state.effective_config())
}

/// All metrics in the Prometheus text format, or OpenMetrics if the client accepts it
#[utoipa::path(get, path = "/metrics", tag = "host", responses((status = 200, body = String, content_type = "text/plain")))]
async fn show_metrics(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Failure> {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let form = Exposition::accepted(accept.unwrap_or(""));
    let text =
        state.metrics(form).map_err(|error| Problem::new(ProblemKind::AppError(500), error.to_string()))?;
    Ok(HttpResponse::Ok().content_type(form.content_type()).body(text))
}

/// Sends a request to an app and returns the response
#[utoipa::path(
    post,
    path = "/api/v1/apps/{app}/invoke",
    tag = "apps",
    params(Named),
    security((), ("token" = [])),
    request_body = Invocation,
    responses((status = 200, body = Invoked), Refused, Unable)
)]
async fn invoke_app(state: Data<State>, path: Path<Named>, invocation: Json<Invocation>) -> Answer<Invoked> {
    Ok(Json(invoke::invoke(&*state.app(&path.app)?, &invocation).await?))
}

/// This OpenAPI document
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "host", responses((status = 200, description = "The OpenAPI document", body = Object)))]
async fn show_api() -> HttpResponse {
    HttpResponse::Ok().json(Api::openapi())
}

#[cfg(test)]
mod tests {
    use actix_web::http::Method;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, web};

    use super::{configure, operations};

    /// The document and the routes both name the methods and paths.
    #[actix_web::test]
    async fn each_operation_of_the_document_has_a_route() {
        let none = || web::to(|| async { actix_web::HttpResponse::ImATeapot().finish() });
        let api = init_service(App::new().configure(configure).default_service(none())).await;
        for (method, path) in operations() {
            let request = TestRequest::with_uri(&path.replace(['{', '}'], ""))
                .method(Method::from_bytes(method.as_bytes()).expect("it is a method"));
            let response = call_service(&api, request.to_request()).await;
            assert_ne!(response.status(), 418, "{method} {path}");
        }
    }
}
