//! A client of the admin API of a running host, over its Unix socket or over TLS.

mod connection;
mod error;
mod events;
mod server;
mod versions;

use std::future::pending;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use self::connection::Connection;
use self::error::ANSWER_TIMEOUT;
pub use self::error::AdminError;
use self::events::{Event, Events};
pub use self::server::{AdminServer, NoAdminServer};
use super::model::{AppDetails, EffectiveConfig, HostStatus, LogLevel, Serving};
use super::socket;
use super::stats::Stats;
use super::token_api::{CreatedToken, NewToken};
use super::tokens::Token;
use crate::admin::host_lock;
use crate::admin::versions::Promoted;
use crate::fleet::FleetStatus;
use crate::observe::entries::LogEntry;
use crate::observe::usage::UsageReport;
use crate::registry::QuotaStatus;

/// How long a connection to a server, with its TLS handshake, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// An item of a followed log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A record.
    Record(LogEntry),
    /// So many records came faster than they were read, and are missing.
    Missed(u64),
}

/// A connection to a running host.
#[derive(Debug)]
pub struct AdminClient {
    // Dropped first: it belongs to the runtime.
    connection: Connection,
    runtime: Runtime,
}

impl AdminClient {
    /// Connects to the host that serves the registry file `config`.
    ///
    /// # Errors
    /// [`AdminError::NoHost`].
    pub fn connect(config: &Path) -> Result<Self, AdminError> {
        Self::connect_within(&std::env::temp_dir(), config)
    }

    /// As [`connect`](Self::connect), to a host with another `TMPDIR`.
    ///
    /// # Errors
    /// [`AdminError::NoHost`].
    pub fn connect_within(temporary: &Path, config: impl AsRef<Path>) -> Result<Self, AdminError> {
        let config = config.as_ref();
        let folder = crate::library::stage::common_folder(temporary);
        let no_host = |reason| AdminError::NoHost {
            config: config.to_owned(),
            others: host_lock::served(&folder),
            reason,
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(no_host)?;
        let path = socket::path(&folder, config);
        let connection = runtime.block_on(Connection::over_socket(&path)).map_err(no_host)?;
        Ok(Self { connection, runtime })
    }

    /// Connects to a host on another machine.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`].
    pub fn connect_to(server: &AdminServer) -> Result<Self, AdminError> {
        let unreachable = |reason| AdminError::Unreachable { server: server.to_string(), reason };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let connect = async { timeout(CONNECT_TIMEOUT, Connection::to_server(server)).await };
        let late = || {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
            )
        };
        let connection = runtime.block_on(connect).map_err(|_elapsed| unreachable(late()))??;
        Ok(Self { connection, runtime })
    }

    /// What the host runs.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn status(&mut self) -> Result<HostStatus, AdminError> {
        self.get("/api/v1/status")
    }

    /// All that is known of an app.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn app(&mut self, app: &str) -> Result<AppDetails, AdminError> {
        self.get(&of_app(app, ""))
    }

    /// The effective configuration.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn config(&mut self) -> Result<EffectiveConfig, AdminError> {
        self.get("/api/v1/config")
    }

    /// What apps have used in some time, in milliseconds since 1970.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn usage(&mut self, since_ms: Option<u64>, until_ms: Option<u64>) -> Result<UsageReport, AdminError> {
        let parameter = |name: &str, value: Option<u64>| value.map(|value| format!("{name}={value}"));
        let parameters = [parameter("since_ms", since_ms), parameter("until_ms", until_ms)];
        let parameters: Vec<String> = parameters.into_iter().flatten().collect();
        self.get(&format!("/api/v1/usage?{}", parameters.join("&")))
    }

    /// The fleet that the host is in.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn fleet(&mut self) -> Result<FleetStatus, AdminError> {
        self.get("/api/v1/fleet")
    }

    /// The quotas, with what is used of them.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn quotas(&mut self) -> Result<Vec<QuotaStatus>, AdminError> {
        self.get("/api/v1/quotas")
    }

    /// Starts an app, also one that has failed; the number of the generation that serves then.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn start(&mut self, app: &str) -> Result<u64, AdminError> {
        self.post::<Serving>(&of_app(app, "/start")).map(|serving| serving.generation)
    }

    /// Stops an app.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn stop(&mut self, app: &str) -> Result<(), AdminError> {
        self.post(&of_app(app, "/stop"))
    }

    /// Reloads an app's library and returns the number of the serving generation.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn reload(&mut self, app: &str) -> Result<u64, AdminError> {
        self.post::<Serving>(&of_app(app, "/reload")).map(|serving| serving.generation)
    }

    /// Goes back to the version of an app that served before; the number of the generation that serves then, unless the app
    /// stands by.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn rollback(&mut self, app: &str) -> Result<Option<u64>, AdminError> {
        self.post::<Promoted>(&of_app(app, "/rollback")).map(|promoted| promoted.generation)
    }

    /// Enables an app, so that requests start it again.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn enable(&mut self, app: &str) -> Result<(), AdminError> {
        self.post(&of_app(app, "/enable"))
    }

    /// Takes an app down, and lets no request start it.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn disable(&mut self, app: &str) -> Result<(), AdminError> {
        self.post(&of_app(app, "/disable"))
    }

    /// Sets the log level of an app; `None` resets it to `RUST_LOG`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn set_log_level(&mut self, app: &str, level: Option<&str>) -> Result<(), AdminError> {
        let level = LogLevel { level: level.map(str::to_owned) };
        self.ask(Method::PUT, &of_app(app, "/log-level"), Some(&level))
    }

    /// The tokens by name, without their secrets.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn tokens(&mut self) -> Result<Vec<Token>, AdminError> {
        self.get("/api/v1/tokens")
    }

    /// Creates a token.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn create_token(&mut self, new: &NewToken) -> Result<CreatedToken, AdminError> {
        self.ask(Method::POST, "/api/v1/tokens", Some(new))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn revoke_token(&mut self, name: &str) -> Result<(), AdminError> {
        self.ask(Method::DELETE, &format!("/api/v1/tokens/{}", segment(name)), None::<&()>)
    }

    /// The most recent log records of an app, or of its version beside the current one, oldest first.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn log(&mut self, app: &str, version: Option<&str>, limit: u32) -> Result<Vec<LogEntry>, AdminError> {
        self.get(&of_app(app, &format!("/log?limit={limit}{}", parameter(version))))
    }

    /// Gives the last log records of an app, or of its version beside the current one, to `take`, and those that come, until it breaks off, `end` is there, or the
    /// app is removed.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn follow_log(
        &mut self,
        app: &str,
        version: Option<&str>,
        limit: u32,
        end: impl Future<Output = ()>,
        mut take: impl FnMut(Followed) -> ControlFlow<()>,
    ) -> Result<(), AdminError> {
        let path = of_app(app, &format!("/log/stream?limit={limit}{}", parameter(version)));
        self.follow(&path, end, |event| {
            Ok(match &*event.name {
                "record" => take(Followed::Record(serde_json::from_str(&event.data)?)),
                "missed" => take(Followed::Missed(serde_json::from_str(&event.data)?)),
                _ => ControlFlow::Continue(()),
            })
        })
    }

    /// Gives what the apps do to `take`, second by second, until it breaks off. The first reading comes at once, and
    /// has no rates yet.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn follow_stats(&mut self, mut take: impl FnMut(Stats) -> ControlFlow<()>) -> Result<(), AdminError> {
        self.follow("/api/v1/stats", pending(), |event| Ok(take(serde_json::from_str(&event.data)?)))
    }

    fn follow(
        &mut self,
        path: &str,
        end: impl Future<Output = ()>,
        mut take: impl FnMut(Event) -> Result<ControlFlow<()>, AdminError>,
    ) -> Result<(), AdminError> {
        let connection = &mut self.connection;
        let read = async {
            let mut response = connection.send(Method::GET, path, JSON, Bytes::new()).await?;
            let mut events = Events::default();
            while let Some(frame) = response.frame().await {
                let Ok(piece) = frame.map_err(AdminError::Lost)?.into_data() else { continue };
                events.push(&piece);
                for event in events.by_ref() {
                    if take(event)?.is_break() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        };
        self.runtime.block_on(async {
            tokio::select! {
                read = read => read,
                () = end => Ok(()),
            }
        })
    }

    fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, AdminError> {
        self.ask(Method::GET, path, None::<&()>)
    }

    fn post<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, AdminError> {
        self.ask(Method::POST, path, None::<&()>)
    }

    fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, AdminError> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        self.exchange(method, path, JSON, body.into())
    }

    fn exchange<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<T, AdminError> {
        let exchange = async {
            let response = self.connection.send(method, path, content_type, body).await?;
            Ok::<_, AdminError>(response.into_body().collect().await?.to_bytes())
        };
        // The timer is made where the runtime is.
        let answer = self.runtime.block_on(async { timeout(ANSWER_TIMEOUT, exchange).await });
        let body = answer.map_err(|_elapsed| AdminError::TimedOut)??;
        Ok(serde_json::from_slice(if body.is_empty() { b"null" } else { &body })?)
    }
}

/// The type of the content of most requests.
const JSON: &str = "application/json";

/// A path of an app's.
fn of_app(app: &str, rest: &str) -> String {
    format!("/api/v1/apps/{}{rest}", segment(app))
}

/// The parameter of a path that names a version.
fn parameter(version: Option<&str>) -> String {
    version.map(|version| format!("&version={}", segment(version))).unwrap_or_default()
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
