//! The control socket: how `atoll ls`, `reload` and `rollback` talk to a running host.
//!
//! A Unix socket that only the host's user can open. Each line is a JSON-RPC 2.0 request, answered by a line.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use atoll_plugin::protocol::{ErrorObject, Incoming, Request, Response, code};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, unix};

use crate::config::Route;
use crate::registry::Registry;
use crate::services::{PinnedGeneration, Services};
use crate::{context, heap};

/// A request's line may be so long, in bytes.
const MAX_LINE: u64 = 64 * 1024;

/// How long a client waits for its answer: a reload may drain and start.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// What `atoll ls` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// The registered apps, by name.
    pub apps: Vec<AppStatus>,
    /// The generations that could not be unloaded.
    pub pinned: Vec<PinnedGeneration>,
    /// The process as a whole.
    pub process: ProcessStatus,
}

/// The host's process in [`HostStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its number.
    pub pid: u32,
    /// The lowest pthread key that is free: it grows when libraries leave theirs behind.
    pub lowest_free_key: u32,
    /// How many heaps there are: one for each generation that is loaded, or whose memory is still in use.
    pub heaps: usize,
}

/// One app in [`HostStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its name.
    pub name: String,
    /// Where it is served besides `/apps/{name}/`: `api.example.com/v1`.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Whether it serves, and if not, why: `cold`, `starting`, `serving`, `resting`, `failed` or `closing`.
    pub phase: String,
    /// The generation that serves.
    pub serving: Option<GenerationStatus>,
    /// The last things that happened, the oldest first.
    pub history: Vec<HistoryEntry>,
    /// The hashes of the libraries that it can be rolled back to, the newest first.
    pub kept: Vec<String>,
}

/// A generation in [`AppStatus`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationStatus {
    /// Its number.
    pub number: u64,
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

/// A line of an app's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Whose.
    pub generation: u64,
    /// To which state.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// Why the control socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No host listens.
    #[error("no host runs for {}: start one with `atoll serve` ({source})", config.display())]
    NoHost {
        /// The registry file that the host would serve.
        config: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the host did not answer: {0}")]
    Broken(#[from] io::Error),
    /// The host said no.
    #[error("{0}")]
    Refused(String),
    /// What came is not an answer.
    #[error("the host's answer cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Where the host of a registry file listens.
fn socket(folder: &Path, config: &Path) -> PathBuf {
    let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let config = config.canonicalize().unwrap_or(config);
    let hash = blake3::hash(config.as_os_str().as_encoded_bytes()).to_hex();
    folder.join(format!("control-{}.sock", &hash[..16]))
}

/// The socket of a running host; dropping it removes it.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens for the host that serves the registry file `config`.
    ///
    /// # Errors
    /// The socket cannot be made, or another host serves the same file.
    pub fn bind(services: &Services, config: &Path) -> io::Result<Self> {
        let path = socket(&services.staging().common_folder(), config);
        if UnixStream::connect(&path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another host serves the same file"));
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Answers whoever connects, for as long as it is polled.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub async fn run(self, registry: Arc<Registry>, services: Rc<Services>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (registry, services) = (registry.clone(), services.clone());
                    tokio::task::spawn_local(async move {
                        let (read, write) = stream.into_split();
                        if let Err(error) = converse(read, write, &registry, &services).await {
                            log::debug!("a control connection ended: {error}");
                        }
                    });
                }
                Err(error) => {
                    log::warn!("the control socket cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // It may have been removed by hand; a new host removes what is left over.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(
    read: unix::OwnedReadHalf,
    mut write: unix::OwnedWriteHalf,
    registry: &Registry,
    services: &Services,
) -> io::Result<()> {
    use tokio::io::AsyncReadExt;

    let mut lines = tokio::io::BufReader::new(read.take(MAX_LINE)).lines();
    while let Some(line) = lines.next_line().await? {
        let mut answer = answer(&line, registry, services).await;
        answer.push('\n');
        write.write_all(answer.as_bytes()).await?;
        lines.get_mut().get_mut().set_limit(MAX_LINE);
    }
    Ok(())
}

#[derive(Deserialize, Serialize)]
struct Named<'a> {
    app: std::borrow::Cow<'a, str>,
}

async fn answer(line: &str, registry: &Registry, services: &Services) -> String {
    let incoming: Incoming<'_> = match serde_json::from_str(line) {
        Ok(incoming) => incoming,
        Err(error) => return failure(0, code::PARSE_ERROR, error.to_string()),
    };
    let id = incoming.id.unwrap_or(0);
    let params = incoming.params.map_or("null", RawValue::get);
    let done = match incoming.method.as_deref() {
        Some("status") => return success(id, &status(registry, services)),
        Some(method @ ("reload" | "rollback")) => {
            let name = match serde_json::from_str::<Named<'_>>(params) {
                Ok(named) => named.app,
                Err(error) => return failure(id, code::INVALID_PARAMS, error.to_string()),
            };
            let Some(app) = registry.get(&name) else {
                return failure(id, code::INVALID_PARAMS, format!("no app is named `{name}`"));
            };
            if method == "reload" { app.reload().await } else { app.rollback().await }
        }
        other => {
            let message = format!("there is no method {}", other.unwrap_or("(none)"));
            return failure(id, code::METHOD_NOT_FOUND, message);
        }
    };
    match done {
        Ok(number) => success(id, &number),
        Err(reason) => failure(id, code::HANDLER_FAILED, reason),
    }
}

fn success(id: u64, result: &impl Serialize) -> String {
    serde_json::to_string(&Response::result(id, result))
        .unwrap_or_else(|error| failure(id, code::INTERNAL_ERROR, error.to_string()))
}

fn failure(id: u64, code: i64, message: String) -> String {
    let error = ErrorObject { code, message: message.into(), data: None };
    serde_json::to_string(&Response::error(id, error)).unwrap_or_default()
}

fn status(registry: &Registry, services: &Services) -> HostStatus {
    let apps = registry.apps().into_iter().map(|app| AppStatus {
        name: app.name().to_string(),
        routes: registry.routes(app.name()).iter().map(Route::to_string).collect(),
        phase: app.phase().to_string(),
        serving: app.serving().map(|generation| GenerationStatus {
            number: generation.number(),
            workers: generation.workers(),
            in_flight: generation.in_flight(),
            waiting: generation.waiting(),
            calls: generation.calls(),
            live_bytes: generation.heap().live_bytes(),
            peak_bytes: generation.heap().peak_bytes(),
        }),
        history: app
            .history()
            .into_iter()
            .map(|transition| HistoryEntry {
                at_ms: transition
                    .at
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                generation: transition.generation,
                state: transition.state.to_string(),
                reason: transition.reason,
            })
            .collect(),
        kept: services.staging().kept(app.name()).iter().map(|kept| kept.hash().short()).collect(),
    });
    let apps = apps.collect();
    let process = ProcessStatus {
        pid: std::process::id(),
        lowest_free_key: context::lowest_free_key(),
        heaps: heap::count(),
    };
    HostStatus { apps, pinned: services.pinned(), process }
}

/// A connection to a running host.
#[derive(Debug)]
pub struct ControlClient {
    stream: BufReader<UnixStream>,
}

impl ControlClient {
    /// Connects to the host that serves the registry file `config`.
    ///
    /// # Errors
    /// [`ControlError::NoHost`].
    pub fn connect(config: &Path) -> Result<Self, ControlError> {
        Self::connect_within(&std::env::temp_dir(), config)
    }

    /// As [`connect`](Self::connect), to a host with another `TMPDIR`.
    ///
    /// # Errors
    /// [`ControlError::NoHost`].
    pub fn connect_within(temporary: &Path, config: impl AsRef<Path>) -> Result<Self, ControlError> {
        let config = config.as_ref();
        let no_host = |source| ControlError::NoHost { config: config.to_owned(), source };
        let stream =
            UnixStream::connect(socket(&crate::stage::common_folder(temporary), config)).map_err(no_host)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(no_host)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// What the host runs.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn status(&mut self) -> Result<HostStatus, ControlError> {
        self.ask("status", ())
    }

    /// Loads an app's library anew; the number of the generation that serves then.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn reload(&mut self, app: &str) -> Result<u64, ControlError> {
        self.ask("reload", Named { app: app.into() })
    }

    /// Goes back to an app's previous good library; the number of the generation that serves then.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn rollback(&mut self, app: &str) -> Result<u64, ControlError> {
        self.ask("rollback", Named { app: app.into() })
    }

    fn ask<T: DeserializeOwned>(&mut self, method: &str, params: impl Serialize) -> Result<T, ControlError> {
        let mut line = serde_json::to_string(&Request::new(1, method, params))?;
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes())?;
        line.clear();
        self.stream.read_line(&mut line)?;
        let incoming: Incoming<'_> = serde_json::from_str(&line)?;
        match incoming.error {
            Some(error) => Err(ControlError::Refused(error.message.into_owned())),
            None => Ok(serde_json::from_str(incoming.result.map_or("null", RawValue::get))?),
        }
    }
}
