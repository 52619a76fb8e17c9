//! The types of the admin API.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

use crate::admin::limits;
use crate::admin::rollout_model::RolloutStatus;
use crate::admin::traffic_model::VersionTraffic;
use crate::app::handle::App;
use crate::app::pins::PinnedGeneration;
use crate::config::{AppConfig, Origin, Route};
use crate::generation::handle::Generation;
use crate::generation::runner::ProcessInfo;
use crate::http::ServerLimits;
use crate::observe::certificates::CertificateEntry;
use crate::observe::entries::{FailureEntry, FaultEntry, PanicEntry};
use crate::observe::history::HistoryEntry;
use crate::sandbox::InForce;

/// The host and all its apps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostStatus {
    /// The registered apps, by name.
    pub apps: Vec<AppStatus>,
    /// The pinned generations.
    pub pinned: Vec<PinnedGeneration>,
    /// The fault that ended the host's process before this one; absent if none did.
    #[serde(default)]
    pub fault: Option<FaultEntry>,
    /// The certificates of the server.
    #[serde(default)]
    pub certificates: Vec<CertificateEntry>,
    /// The host's process.
    pub process: ProcessStatus,
}

/// The host's process in [`HostStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessStatus {
    /// The host's version.
    pub version: String,
    /// Its number.
    pub pid: u32,
    /// When it started, in milliseconds since 1970.
    pub started_ms: u64,
    /// The registry file.
    pub config: String,
    /// The name of its fleet; absent if it is in none.
    #[serde(default)]
    pub fleet: Option<String>,
    /// The lowest pthread key that is free: it grows when libraries leave theirs behind.
    pub lowest_free_key: u32,
    /// The number of heaps: one for each generation that is loaded or whose memory is still in use.
    pub heaps: usize,
}

/// One app in [`HostStatus`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppStatus {
    /// Its name.
    pub name: String,
    /// Additional routes besides `/apps/{name}/`, such as `api.example.com/v1`.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Its phase: `cold`, `starting`, `serving`, `resting`, `failed`, `blocked`, `standby`, `disabled`
    /// or `closing`.
    pub phase: String,
    /// The serving generation.
    pub serving: Option<GenerationStatus>,
    /// The result of the last load: `serving` or `refused`, with the reason.
    #[serde(default)]
    pub last_load: Option<HistoryEntry>,
    /// The most recent transitions, oldest first.
    pub history: Vec<HistoryEntry>,
    /// The hashes of the libraries to roll back to, newest first.
    pub kept: Vec<String>,
    /// The versions that serve beside the current one, with the traffic that they get.
    #[serde(default)]
    pub traffic: Vec<VersionTraffic>,
    /// The last rollout since the host started.
    #[serde(default)]
    pub rollout: Option<RolloutStatus>,
}

/// A generation in [`AppStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
    /// The version of its library's package.
    pub version: String,
    /// Its workers.
    pub workers: usize,
    /// Its requests in flight.
    pub in_flight: usize,
    /// Of those, the number waiting for a worker.
    pub waiting: usize,
    /// The number of requests and calls sent to it.
    pub calls: usize,
    /// Bytes allocated in its heap.
    pub live_bytes: u64,
    /// The peak heap size in bytes.
    pub peak_bytes: u64,
    /// The process that its workers have for themselves; absent on threads of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<OwnProcess>,
}

/// The process of a generation in [`GenerationStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnProcess {
    /// Its number.
    pub id: u32,
    /// The layers of its sandbox that are in force; absent without a sandbox.
    pub sandbox: Option<Vec<String>>,
    /// The layers that this machine cannot enforce, each with the reason.
    pub missing: Vec<String>,
}

/// All details of one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppDetails {
    /// Its status, as in the list of apps.
    #[serde(flatten)]
    pub status: AppStatus,
    /// The source of its library.
    pub path: String,
    /// Its settings with their origin.
    pub settings: BTreeMap<String, SettingInForce>,
    /// Its log level if it overrides `RUST_LOG`.
    pub log_level: Option<String>,
    /// The most recent failed requests, oldest first.
    pub failures: Vec<FailureEntry>,
    /// The most recent panics, oldest first.
    pub panics: Vec<PanicEntry>,
    /// The total number of panics.
    pub panic_count: u64,
    /// The pinned generations of the app, oldest first.
    #[serde(default)]
    pub pinned: Vec<PinnedGeneration>,
    /// The faults of the app that ended processes of the host, oldest first.
    #[serde(default)]
    pub faults: Vec<FaultEntry>,
}

/// An effective setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingInForce {
    /// Its value. Values of environment variables are hidden.
    pub value: Value,
    /// Its origin.
    pub origin: Origin,
}

/// The effective configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveConfig {
    /// The path of apps.json.
    pub file: String,
    /// Its apps, by name.
    pub apps: Vec<EffectiveApp>,
    /// The limits of the host that no file has: times in milliseconds, sizes in bytes.
    pub limits: BTreeMap<String, u64>,
}

/// An app in [`EffectiveConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveApp {
    /// Its name.
    pub name: String,
    /// The source of its library.
    pub path: String,
    /// Additional routes besides `/apps/{name}/`.
    pub routes: Vec<String>,
    /// Its settings with their origin.
    pub settings: BTreeMap<String, SettingInForce>,
}

/// The serving generation after the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Serving {
    /// Its number.
    pub generation: u64,
}

/// The level of an app's log records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`; `null` follows `RUST_LOG`.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, pattern = "^(off|error|warn|info|debug|trace)$")]
    pub level: Option<String>,
}

/// A request to send to an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Invocation {
    /// The method.
    #[serde(default = "get")]
    #[schema(default = "GET", pattern = "^[A-Za-z]+$")]
    pub method: String,
    /// The path below the app, with its query: `/greet/ada?x=1`.
    #[schema(pattern = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$")]
    pub path: String,
    /// The headers, as pairs of name and value.
    #[serde(default)]
    #[schema(schema_with = pairs)]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(default)]
    pub body: Option<String>,
}

/// The OpenAPI schema of pairs of header name and value.
fn pairs() -> Array {
    let text = |pattern: &str| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build();
    let pair = [text("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), text(r"^[^\u0000-\u0008\u000a-\u001f\u007f]*$")];
    let pair = ArrayBuilder::new().prefix_items(pair).min_items(Some(2)).max_items(Some(2));
    ArrayBuilder::new().items(pair).build()
}

fn get() -> String {
    "GET".to_owned()
}

impl Invocation {
    /// A GET request for a path.
    pub(super) fn get(path: &str) -> Self {
        Self { method: get(), path: path.to_owned(), headers: Vec::new(), body: None }
    }
}

/// The response to an [`Invocation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invoked {
    /// The status.
    pub status: u16,
    /// The headers, as pairs of name and value.
    #[schema(schema_with = pairs)]
    pub headers: Vec<(String, String)>,
    /// The body as text, truncated to 64 KiB.
    pub body: String,
    /// Whether the body is truncated or continues.
    pub truncated: bool,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// Problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// The type of the problem: `urn:atoll:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The title, the same for all problems of this type.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The details of this occurrence and how to fix it.
    pub detail: String,
    /// The request's id.
    pub request_id: String,
}

impl GenerationStatus {
    pub(super) fn new(generation: &Generation) -> Self {
        Self {
            number: generation.number(),
            version: generation.version().to_owned(),
            workers: generation.workers(),
            in_flight: generation.in_flight(),
            waiting: generation.waiting(),
            calls: generation.calls(),
            live_bytes: generation.heap().live,
            peak_bytes: generation.heap().peak,
            process: generation.process().map(OwnProcess::new),
        }
    }
}

impl OwnProcess {
    fn new(process: ProcessInfo) -> Self {
        let ProcessInfo { id, sandbox } = process;
        let missing = sandbox.iter().flat_map(|sandbox| &sandbox.missing);
        let missing = missing.map(|missing| format!("{}: {}", missing.layer, missing.reason)).collect();
        let layers = |sandbox: InForce| sandbox.layers.iter().map(ToString::to_string).collect();
        Self { id, sandbox: sandbox.map(layers), missing }
    }
}

impl AppStatus {
    /// With so many of the last things that happened.
    pub(super) fn new(
        app: &App,
        routes: &[Route],
        kept: Vec<String>,
        rollout: Option<RolloutStatus>,
        limit: usize,
    ) -> Self {
        let history = app.history();
        Self {
            name: app.name().to_string(),
            routes: routes.iter().map(Route::to_string).collect(),
            phase: app.phase().to_string(),
            serving: app.serving().map(|generation| GenerationStatus::new(&generation)),
            last_load: HistoryEntry::of_last_load(&history),
            history: history[history.len().saturating_sub(limit)..].iter().map(HistoryEntry::from).collect(),
            kept,
            traffic: VersionTraffic::all(app),
            rollout,
        }
    }
}

impl AppDetails {
    pub(super) fn new(
        app: &Arc<App>,
        config: &AppConfig,
        status: AppStatus,
        faults: Vec<FaultEntry>,
        pinned: Vec<PinnedGeneration>,
    ) -> Self {
        let app_log = app.app_log();
        Self {
            status,
            path: config.path.display().to_string(),
            settings: settings(config),
            log_level: app_log.level().map(|level| level.as_str().to_ascii_lowercase()),
            failures: app_log.failures(),
            panics: app_log.panics(),
            panic_count: app_log.panic_count(),
            pinned,
            faults,
        }
    }
}

impl EffectiveConfig {
    /// That of a file with these apps, and of a server with these limits.
    pub fn new<'a>(
        file: &Path,
        apps: impl IntoIterator<Item = &'a AppConfig>,
        server: &ServerLimits,
    ) -> Self {
        let mut apps: Vec<EffectiveApp> = apps.into_iter().map(EffectiveApp::from).collect();
        apps.sort_by(|one, other| one.name.cmp(&other.name));
        let limits = limits::all(server).map(|(name, value)| (name.to_owned(), value)).collect();
        Self { file: file.display().to_string(), apps, limits }
    }
}

impl From<&AppConfig> for EffectiveApp {
    fn from(config: &AppConfig) -> Self {
        Self {
            name: config.name.clone(),
            path: config.path.display().to_string(),
            routes: config.routes.iter().map(Route::to_string).collect(),
            settings: settings(config),
        }
    }
}

/// The settings of an app by name, without the values of its variables; of secrets, with where they come from.
fn settings(config: &AppConfig) -> BTreeMap<String, SettingInForce> {
    let mut shown = config.settings.clone();
    shown.env = shown.env.into_iter().map(|(name, value)| (name, value.hidden())).collect();
    let Ok(Value::Object(values)) = serde_json::to_value(&shown) else { return BTreeMap::new() };
    let in_force = |(name, value): (String, Value)| {
        let origin = config.origins.get(&name);
        (name, SettingInForce { value, origin })
    };
    values.into_iter().map(in_force).collect()
}
