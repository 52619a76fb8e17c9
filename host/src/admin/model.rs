//! What the admin API says, as types.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

use crate::admin::limits;
use crate::app::handle::App;
use crate::app::pins::PinnedGeneration;
use crate::config::{AppConfig, Origin, Route};
use crate::generation::handle::Generation;
use crate::observe::entries::{FailureEntry, PanicEntry};
use crate::observe::history::{HistoryEntry, State, Transition};

/// What is shown in the place of a variable's value: it may be a secret.
const HIDDEN: &str = "***";

/// The host and all its apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostStatus {
    /// The registered apps, by name.
    pub apps: Vec<AppStatus>,
    /// The generations that could not be unloaded.
    pub pinned: Vec<PinnedGeneration>,
    /// The process as a whole.
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
    /// The lowest pthread key that is free: it grows when libraries leave theirs behind.
    pub lowest_free_key: u32,
    /// How many heaps there are: one for each generation that is loaded, or whose memory is still in use.
    pub heaps: usize,
}

/// One app in [`HostStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppStatus {
    /// Its name.
    pub name: String,
    /// Where it is served besides `/apps/{name}/`: `api.example.com/v1`.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Whether it serves, and if not, why: `cold`, `starting`, `serving`, `resting`, `failed`, `blocked`, `disabled` or
    /// `closing`.
    pub phase: String,
    /// The generation that serves.
    pub serving: Option<GenerationStatus>,
    /// What came of the last time that a library was loaded: `serving` or `refused`, with the reason.
    #[serde(default)]
    pub last_load: Option<HistoryEntry>,
    /// The last things that happened, the oldest first.
    pub history: Vec<HistoryEntry>,
    /// The hashes of the libraries that it can be rolled back to, the newest first.
    pub kept: Vec<String>,
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
    /// Of those, how many no worker has taken yet.
    pub waiting: usize,
    /// The calls that it was sent.
    pub calls: usize,
    /// The bytes that are allocated in its heap.
    pub live_bytes: u64,
    /// The most that they have been.
    pub peak_bytes: u64,
}

/// All that is known of one app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AppDetails {
    /// What the list of apps says of it.
    #[serde(flatten)]
    pub status: AppStatus,
    /// Where its library comes from.
    pub path: String,
    /// Its settings, with where each comes from.
    pub settings: BTreeMap<String, SettingInForce>,
    /// The level of its log records, where it is not what `RUST_LOG` says.
    pub log_level: Option<String>,
    /// The last requests that could not be answered, the oldest first.
    pub failures: Vec<FailureEntry>,
    /// The last panics, the oldest first.
    pub panics: Vec<PanicEntry>,
    /// How many panics there have been.
    pub panic_count: u64,
}

/// A setting as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SettingInForce {
    /// Its value. Those of variables are not shown.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveConfig {
    /// The file that it was read from.
    pub file: String,
    /// Its apps, by name.
    pub apps: Vec<EffectiveApp>,
    /// The limits of the host itself, which no setting changes: times in milliseconds, sizes in bytes.
    pub limits: BTreeMap<String, u64>,
}

/// An app in [`EffectiveConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectiveApp {
    /// Its name.
    pub name: String,
    /// Where its library comes from.
    pub path: String,
    /// Where it is served besides `/apps/{name}/`.
    pub routes: Vec<String>,
    /// Its settings, with where each comes from.
    pub settings: BTreeMap<String, SettingInForce>,
}

/// The generation that serves after what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Serving {
    /// Its number.
    pub generation: u64,
}

/// The level of an app's log records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`; `null`: what `RUST_LOG` says.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, pattern = "^(off|error|warn|info|debug|trace)$")]
    pub level: Option<String>,
}

/// A request to an app, to see what it answers.
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

/// What the OpenAPI document says of pairs of a header's name and value.
fn pairs() -> Array {
    let text = |pattern: &str| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build();
    let pair = [text("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), text(r"^[^\u0000-\u0008\u000a-\u001f\u007f]*$")];
    let pair = ArrayBuilder::new().prefix_items(pair).min_items(Some(2)).max_items(Some(2));
    ArrayBuilder::new().items(pair).build()
}

fn get() -> String {
    "GET".to_owned()
}

/// What an app answered to an [`Invocation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Invoked {
    /// The status.
    pub status: u16,
    /// The headers, as pairs of name and value.
    #[schema(schema_with = pairs)]
    pub headers: Vec<(String, String)>,
    /// The body, as far as it is text and not longer than 64 KiB.
    pub body: String,
    /// Whether the body is longer, or goes on.
    pub truncated: bool,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// What went wrong: problem details (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// What kind of problem: `urn:atoll:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for all problems of the kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// The request's id.
    pub request_id: String,
}

impl GenerationStatus {
    fn of(generation: &Generation) -> Self {
        Self {
            number: generation.number(),
            version: generation.version().to_owned(),
            workers: generation.workers(),
            in_flight: generation.in_flight(),
            waiting: generation.waiting(),
            calls: generation.calls(),
            live_bytes: generation.heap().live_bytes(),
            peak_bytes: generation.heap().peak_bytes(),
        }
    }
}

impl AppStatus {
    /// With so many of the last things that happened.
    pub(super) fn of(app: &App, routes: &[Route], kept: Vec<String>, limit: usize) -> Self {
        let history = app.history();
        let loads = |entry: &&Transition| matches!(entry.state, State::Serving | State::Refused);
        Self {
            name: app.name().to_string(),
            routes: routes.iter().map(Route::to_string).collect(),
            phase: app.phase().to_string(),
            serving: app.serving().map(|generation| GenerationStatus::of(&generation)),
            last_load: history.iter().rev().find(loads).map(HistoryEntry::from),
            history: history[history.len().saturating_sub(limit)..].iter().map(HistoryEntry::from).collect(),
            kept,
        }
    }
}

impl AppDetails {
    pub(super) fn of(app: &Arc<App>, config: &AppConfig, status: AppStatus) -> Self {
        let app_log = app.app_log();
        Self {
            status,
            path: config.path.display().to_string(),
            settings: settings(config),
            log_level: app_log.level().map(|level| level.as_str().to_ascii_lowercase()),
            failures: app_log.failures(),
            panics: app_log.panics(),
            panic_count: app_log.panic_count(),
        }
    }
}

impl EffectiveConfig {
    /// That of a file with these apps.
    pub fn of<'a>(file: &Path, apps: impl IntoIterator<Item = &'a AppConfig>) -> Self {
        let mut apps: Vec<EffectiveApp> = apps.into_iter().map(EffectiveApp::from).collect();
        apps.sort_by(|one, other| one.name.cmp(&other.name));
        let limits = limits::all().map(|(name, value)| (name.to_owned(), value)).collect();
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

/// The settings of an app by name, without the values of its variables.
fn settings(config: &AppConfig) -> BTreeMap<String, SettingInForce> {
    let mut shown = config.settings.clone();
    shown.env.values_mut().for_each(|value| HIDDEN.clone_into(value));
    let Ok(Value::Object(values)) = serde_json::to_value(&shown) else { return BTreeMap::new() };
    let in_force = |(name, value): (String, Value)| {
        let origin = config.origins.of(&name);
        (name, SettingInForce { value, origin })
    };
    values.into_iter().map(in_force).collect()
}
