//! The settings of an app: the one list of them, with their units, limits and defaults.
//!
//! The doc comments here are also the descriptions in `docs/apps.schema.json`, and the table in `docs/src/registry.md`.

use super::build::{self, BuildSettings};
use super::byte_size;
use super::cors::{self, CorsSettings};
use super::env_value::{self, EnvValue};
use super::instances::{self, Instances};
use super::isolation::Isolation;
use super::labels;
use super::on_fault::OnFault;
use super::ranges::MAX;
pub(super) use super::ranges::{ANY_TIME, BODY_LIMIT, HEAP_SOFT_LIMIT, SOME_BYTES, SOME_TIME, STACK_SIZE};
use super::reload_mode::ReloadMode;
use super::response_headers::{self, ResponseHeaders};
use super::rollout::{self, RolloutSettings};
use super::runtime::Runtime;
use super::sandbox::{self, SandboxSettings};
use super::sticky::{self, Sticky};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

pub(super) const WORKERS: RangeInclusive<u64> = 1..=1024;
pub(super) const QUEUE: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const MAX_RESTARTS: RangeInclusive<u64> = 0..=1000;
pub(super) const MAX_PINNED: RangeInclusive<u64> = 0..=1000;
pub(super) const MAX_DRAINING: RangeInclusive<u64> = 1..=1000;
pub(super) const MAX_CONCURRENCY: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const RATE: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const LIBRARY_LIMIT: RangeInclusive<u64> = 0..=MAX;
pub(super) const KEEP: RangeInclusive<u64> = 0..=1000;
pub(super) const MAX_CALLS: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const LOG_RATE: RangeInclusive<u64> = 1..=1_000_000;
pub(super) const ABSOLUTE_PATH: &str = r"^/[^\u0000]*$";
/// What the operating system can hold as a variable's name and value.
pub(super) const ENV_NAME: &str = r"^[^=\u0000]+$";
pub(super) const PATH: &str = r"^[^\u0000]+$";
/// The name of a file in a folder.
pub(super) const FILE_NAME: &str = r"^(?:[^/.\u0000]|\.[^/.\u0000]|\.\.[^/\u0000])[^/\u0000]*$";

/// What most programs expect to find, and nothing secret.
const INHERIT: [&str; 13] = [
    "HOME",
    "LANG",
    "LC_*",
    "LOGNAME",
    "PATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_*",
];

fn env_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": ENV_NAME },
        "additionalProperties": env_value::schema(),
    })
}

fn env_file_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "array"],
        "pattern": PATH,
        "items": { "type": "string", "pattern": PATH },
    })
}

fn inherit_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": ENV_NAME } })
}

fn folder_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": "^[^\\u0000]+$" })
}

fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    labels::schema()
}

fn absolute_folder_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": ABSOLUTE_PATH })
}

/// The settings of an app. Each can be set for one app, or for all apps in `defaults`.
///
/// ```
/// use atoll_host::config::Settings;
/// use std::time::Duration;
///
/// let settings = Settings { workers: 4, ..Settings::default() };
/// assert_eq!(settings.deadline(), Duration::from_secs(30));
/// assert_eq!(settings.idle_timeout(), None);
/// ```
// Serialize serves the schema, which shows the default of each setting. The description is for the schema, where the
// example above would be out of place.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(
    default,
    deny_unknown_fields,
    description = "The settings of an app. Each can be set for one app, or for all apps in `defaults`."
)]
pub struct Settings {
    /// The number of workers: threads that each run the library's `main`. Default 1.
    #[schemars(range(min = *WORKERS.start(), max = *WORKERS.end()))]
    pub workers: usize,

    /// The maximum time until the response head, in milliseconds; then the request gets 504. While the request body is
    /// still arriving, the time counts from its last chunk. Default 30000.
    #[schemars(range(min = *SOME_TIME.start(), max = *SOME_TIME.end()))]
    pub deadline_ms: u64,

    /// The maximum number of requests queued for each worker; more get 503. Default 1024.
    #[schemars(range(min = *QUEUE.start(), max = *QUEUE.end()))]
    pub queue: usize,

    /// The maximum number of requests in flight, including queued requests, open streams and WebSockets; more get 503.
    /// `null` means no limit. Default 10000.
    #[schemars(range(min = *MAX_CONCURRENCY.start(), max = *MAX_CONCURRENCY.end()))]
    pub max_concurrency: Option<usize>,

    /// The maximum number of external requests per second; more get 429. `null` means no limit. Default null.
    #[schemars(range(min = *RATE.start(), max = *RATE.end()))]
    pub rate: Option<u32>,

    /// The heap size, in bytes or as a string with a unit, above which the host logs a warning and replaces the
    /// generation with a new one, at most once a minute. `null` means no limit. Default null.
    #[schemars(schema_with = "byte_size::nullable_schema")]
    pub heap_soft_limit: Option<usize>,

    /// The largest request body that is buffered in memory, and the largest WebSocket message, in bytes, or as a string
    /// with a unit: `"512kB"` is 512000, `"8MiB"` is 8388608. Units are B, kB, MB, GB, TB (powers of 1000) and KiB,
    /// MiB, GiB, TiB (powers of 1024). Larger bodies get 413; bodies that a handler reads as a stream are not limited.
    /// Default 8388608.
    #[schemars(schema_with = "byte_size::schema")]
    pub body_limit: usize,

    /// The largest response head, in bytes or as a string with a unit: the names and values of its headers, plus four
    /// bytes for each. Larger heads get 502. Trailers have the same limit. Default 262144.
    #[schemars(schema_with = "byte_size::some_schema")]
    pub head_limit: usize,

    /// The largest message text that the app may send through its port, in bytes or as a string with a unit: a response
    /// head, the result of a method, the parameters of a call. Bodies do not count. Larger responses are errors.
    /// Default 16777216.
    #[schemars(schema_with = "byte_size::some_schema")]
    pub message_limit: usize,

    /// The maximum number of calls to other apps that each worker may have in flight or with unread responses; more
    /// fail. Default 1024.
    #[schemars(range(min = *MAX_CALLS.start(), max = *MAX_CALLS.end()))]
    pub max_calls: usize,

    /// The maximum number of log records per second; more are dropped and counted in a warning. Default 1000.
    #[schemars(range(min = *LOG_RATE.start(), max = *LOG_RATE.end()))]
    pub log_rate: u32,

    /// The maximum length of a log message, in bytes or as a string with a unit; longer ones are truncated.
    /// Default 16384.
    #[schemars(schema_with = "byte_size::some_schema")]
    pub log_record_limit: usize,

    /// Whether to start the app with the host rather than at its first request. Default false.
    pub preload: bool,

    /// The time without requests, in milliseconds, after which the app is stopped; its next request starts it again.
    /// `null` means never. Default null.
    #[schemars(range(min = *SOME_TIME.start(), max = *SOME_TIME.end()))]
    pub idle_timeout_ms: Option<u64>,

    /// How long a worker may take to become ready, in milliseconds, and how long the preflight of a library may take.
    /// Default 10000.
    #[schemars(range(min = *SOME_TIME.start(), max = *SOME_TIME.end()))]
    pub start_timeout_ms: u64,

    /// How long a worker may take nothing of what waits for it, in milliseconds, before its process is killed and a new
    /// one started. With `"isolation": "auto"`, an app on threads is moved to a process; with `"thread"`, this has no effect.
    /// `null` means never. Default 30000.
    #[schemars(range(min = *SOME_TIME.start(), max = *SOME_TIME.end()))]
    pub hang_timeout_ms: Option<u64>,

    /// How long a retired generation may finish its requests, in milliseconds; then open streams and WebSockets are
    /// closed. 0 means no time. Default 30000.
    #[schemars(range(min = *ANY_TIME.start(), max = *ANY_TIME.end()))]
    pub drain_timeout_ms: u64,

    /// How long to wait for threads that the app started, in milliseconds, before its generation is pinned (kept in
    /// memory, because code that may still run cannot be unloaded). Default 5000.
    #[schemars(range(min = *ANY_TIME.start(), max = *ANY_TIME.end()))]
    pub stop_timeout_ms: u64,

    /// Variables passed to the app when it starts: an object of strings, in which `${NAME}` is a variable of the host, and of
    /// secrets. The variables of an app override those in `defaults` by name. Default {}.
    #[schemars(schema_with = "env_schema")]
    pub env: BTreeMap<String, EnvValue>,

    /// Files with variables in the dotenv syntax: a path or a list of paths, relative to the folder of this file. Later files
    /// win, and `env` wins over all of them. The list of an app replaces the one in `defaults`. Default [].
    #[schemars(schema_with = "env_file_schema")]
    pub env_file: Vec<PathBuf>,

    /// The variables of the host that the app gets besides those of `env`: names, or beginnings of names with `*` at the
    /// end. The list of an app replaces the one in `defaults`. Default ["HOME","LANG","LC_*","LOGNAME","PATH","RUST_BACKTRACE","RUST_LOG","SSL_CERT_DIR","SSL_CERT_FILE","TMPDIR","TZ","USER","XDG_*"].
    #[schemars(schema_with = "inherit_schema")]
    pub inherit: Vec<String>,

    /// The working directory of the app, absolute or relative to the folder of this file. `null` means the folder that `path`
    /// names, or the folder of the library that it names. Default null.
    #[schemars(schema_with = "folder_schema")]
    pub dir: Option<PathBuf>,

    /// Any JSON, passed to the app when it starts. The value of an app replaces the one in `defaults`. Default null.
    pub config: Value,

    /// The folder in which the app has a data folder of its name: an absolute path. The data folder is made if there is none,
    /// only its user can use it, and its path is in the variable `ATOLL_DATA_DIR`. `null` means no data folder.
    /// Default null.
    #[schemars(schema_with = "absolute_folder_schema")]
    pub data: Option<PathBuf>,

    /// How often a crashed worker is restarted within a minute before the app is `failed`: its requests get 503 until
    /// its library changes or you start it. Default 5.
    #[schemars(range(min = *MAX_RESTARTS.start(), max = *MAX_RESTARTS.end()))]
    pub max_restarts: u32,

    /// Where the app's workers run: `"thread"` is on threads of the host, `"process"` in a separate process, which cannot end
    /// the host. `"auto"` is on threads until a generation of a library hangs or cannot be unloaded, and then in a process with that
    /// library. Default "thread".
    pub isolation: Isolation,

    /// What to do with the app when the host starts again after a fault in it, such as a segmentation fault, ended the host:
    /// `"process"` runs it in a separate process and `"disable"` rejects its requests, both until you enable it or its
    /// library changes; `"restart"` runs it as before. Default "process".
    pub on_fault: OnFault,

    /// The stack of each worker, and of threads of the app that do not ask for another size, in bytes or as a string with a
    /// unit. Memory is only used as far as the stack is. Rust's standard library always asks for a size, 2 MiB unless you
    /// choose another. Default 8388608.
    #[schemars(schema_with = "byte_size::stack_schema")]
    pub stack_size: usize,

    /// The maximum number of pinned generations (kept in memory because their code may still run). Above it, no new
    /// generation is started until one of them is unloaded. Default 4.
    #[schemars(range(min = *MAX_PINNED.start(), max = *MAX_PINNED.end()))]
    pub max_pinned: usize,

    /// The maximum number of retired generations of the app that finish their requests. Above it, a new generation is started
    /// when one of them has ended; the serving one continues until then. Default 8.
    #[schemars(range(min = *MAX_DRAINING.start(), max = *MAX_DRAINING.end()))]
    pub max_draining: usize,

    /// Whether responses have a `Server-Timing` header with the time in the queue and in the app, in milliseconds, such
    /// as `queue;dur=0.1, app;dur=1.2`. Default false.
    pub server_timing: bool,

    /// Whether paths in the headers `Location`, `Refresh` and `Set-Cookie` of responses get the prefix under which the app is
    /// served, as in a reverse proxy. Default true.
    pub rewrite: bool,

    /// Whether responses have the header `X-Atoll-App: NAME/VERSION#GENERATION`, with the version of the library's
    /// package. Default false.
    pub app_header: bool,

    /// Headers of all responses for the app, also of those that the host makes itself: an object of names and values. A value
    /// replaces the app's, `null` removes the header, and a value for a name with `?` before it, such as
    /// `"?Cache-Control": "no-store"`, is for responses without this header. The headers of an app override those in
    /// `defaults` by name. Default {}.
    #[schemars(schema_with = "response_headers::schema")]
    pub headers: ResponseHeaders,

    /// Which pages of other origins may use the app, by CORS: an object with the fields of CORS. The host then answers
    /// preflights, and sets the headers of CORS in all responses, also in those that it makes itself. The value of an app
    /// replaces the one in `defaults`. `null` leaves CORS to the app. Default null.
    #[schemars(schema_with = "cors::schema")]
    pub cors: Option<CorsSettings>,

    /// What tells clients apart while traffic is split between versions of the app, so that each keeps its version:
    /// `"address"`, `"header:NAME"` or `"cookie:NAME"`. A request without this header or cookie goes by its address.
    /// Default "address".
    #[schemars(schema_with = "sticky::schema")]
    pub sticky: Sticky,

    /// How a new version that is pushed or promoted gets its clients: step by step, while the host compares it with the current
    /// one. An object with the fields of a rollout; the value of an app replaces the one in `defaults`. `null` means all at once.
    /// Default null.
    #[schemars(schema_with = "rollout::schema")]
    pub rollout: Option<RolloutSettings>,

    /// How cargo builds the app, if `path` is a crate folder, and where a host looks for its library: an object with the
    /// fields of a build. The fields of an app override those in `defaults`.
    /// Default {"cargo_args":[],"features":[],"locked":false,"no_default_features":false,"profile":null,"target":null}.
    #[schemars(schema_with = "build::schema")]
    pub build: BuildSettings,

    /// The largest library that is loaded, in bytes or as a string with a unit; larger ones are refused and the
    /// previous one stays. Default 1073741824.
    #[schemars(schema_with = "byte_size::schema")]
    pub library_limit: usize,

    /// When the generation that serves stops: `"side-by-side"` is when the next one is ready; `"stop-first"` is before the
    /// next one starts, for apps that hold what only one can have, such as the lock of a database or a TCP port. Requests wait
    /// meanwhile. If the next one fails to start, the previous library starts again. Default "side-by-side".
    pub reload: ReloadMode,

    /// The tokio runtime of each worker of a `tower` service: `"current-thread"` runs all tasks on the worker's thread;
    /// `"multi-thread"` runs them on more threads, one for each processor, for apps that need `block_in_place`.
    /// Default "current-thread".
    pub runtime: Runtime,

    /// The number of previous versions to keep for `atoll rollback`. Default 3.
    #[schemars(range(min = *KEEP.start(), max = *KEEP.end()))]
    pub keep: usize,

    /// Whether to open a library that is new to this machine in a sandboxed process first, so that one that crashes or
    /// hangs when it is opened never reaches the host. Default true.
    pub preflight: bool,

    /// The labels of the hosts of a fleet that get the app when it is deployed to the fleet: those that have all of these. `{}`
    /// means every host. A host that is in no fleet runs the app whatever this is. The value of an app replaces the one in
    /// `defaults`. Default {}.
    #[schemars(schema_with = "labels_schema")]
    pub on: BTreeMap<String, String>,

    /// The number of hosts of a fleet that run the app at a time: 1 is the one that has the app's lease, and the others stand
    /// by. `null` means every host. A host that is in no fleet runs the app whatever this is. Default null.
    #[schemars(schema_with = "instances::schema")]
    pub instances: Instances,

    /// What the app's process may do with `"isolation": "process"`: `"standard"`, `"strict"`, or an object with the fields of a
    /// sandbox. The value of an app replaces the one in `defaults`. `null` means no sandbox. Default "standard".
    #[schemars(schema_with = "sandbox::schema")]
    #[serde(serialize_with = "sandbox::write")]
    pub sandbox: Option<SandboxSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: 1,
            deadline_ms: 30_000,
            queue: 1024,
            max_concurrency: Some(10_000),
            rate: None,
            heap_soft_limit: None,
            body_limit: 8 << 20,
            head_limit: 256 << 10,
            message_limit: 16 << 20,
            max_calls: 1024,
            log_rate: 1000,
            log_record_limit: 16 << 10,
            preload: false,
            idle_timeout_ms: None,
            start_timeout_ms: 10_000,
            hang_timeout_ms: Some(30_000),
            drain_timeout_ms: 30_000,
            stop_timeout_ms: 5_000,
            env: BTreeMap::new(),
            env_file: Vec::new(),
            inherit: INHERIT.map(str::to_owned).to_vec(),
            dir: None,
            config: Value::Null,
            data: None,
            max_restarts: 5,
            isolation: Isolation::Thread,
            on_fault: OnFault::Process,
            stack_size: 8 << 20,
            max_pinned: 4,
            max_draining: 8,
            server_timing: false,
            rewrite: true,
            app_header: false,
            headers: ResponseHeaders::default(),
            cors: None,
            sticky: Sticky::Address,
            rollout: None,
            build: BuildSettings::default(),
            library_limit: 1 << 30,
            reload: ReloadMode::SideBySide,
            runtime: Runtime::CurrentThread,
            keep: 3,
            preflight: true,
            on: BTreeMap::new(),
            instances: Instances::Every,
            sandbox: Some(SandboxSettings::default()),
        }
    }
}

impl Settings {
    /// [`deadline_ms`](Settings::deadline_ms) as a duration.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// [`idle_timeout_ms`](Settings::idle_timeout_ms) as a duration; `None` means never.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout_ms.map(Duration::from_millis)
    }

    /// [`start_timeout_ms`](Settings::start_timeout_ms) as a duration.
    pub fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }

    /// [`hang_timeout_ms`](Settings::hang_timeout_ms) as a duration; `None` means never.
    pub fn hang_timeout(&self) -> Option<Duration> {
        self.hang_timeout_ms.map(Duration::from_millis)
    }

    /// [`drain_timeout_ms`](Settings::drain_timeout_ms) as a duration.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// [`stop_timeout_ms`](Settings::stop_timeout_ms) as a duration.
    pub fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_state_the_true_defaults() {
        let schema = schemars::schema_for!(Settings).to_value();
        for (name, setting) in schema["properties"].as_object().unwrap() {
            let description = setting["description"].as_str().unwrap();
            let stated = format!("Default {}.", setting["default"]);
            assert!(description.ends_with(&stated), "{name}: {description:?} does not end with {stated:?}");
        }
    }

    #[test]
    fn the_longest_time_can_be_added_to_now() {
        assert!(std::time::Instant::now().checked_add(Duration::from_millis(MAX)).is_some());
    }
}
