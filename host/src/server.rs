//! The HTTP server, and the registry file that it follows.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::http::{self, Mount};
use crate::registry::Registry;
use crate::services::Services;

/// How long open connections may finish their requests when the server is told to end, in seconds.
const SHUTDOWN_TIMEOUT: u64 = 30;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    mount: Mount,
}

impl Server {
    /// Listens on an address, for the apps of a registry or for one app alone.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub fn bind(mount: impl Into<Mount>, address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address)?, mount: mount.into() })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listener.local_addr().into_iter().collect()
    }

    /// Serves until SIGINT or SIGTERM; then takes no new connection, finishes the requests that it has, and
    /// comes back.
    ///
    /// # Errors
    /// The listener or the signals cannot be used.
    pub async fn run(self) -> io::Result<()> {
        let mount = self.mount;
        let server = HttpServer::new(move || {
            App::new().app_data(web::PayloadConfig::new(usize::MAX)).configure(http::configure(mount.clone()))
        })
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_TIMEOUT)
        .listen(self.listener)?
        .run();
        let handle = server.handle();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        actix_web::rt::spawn(async move {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            log::info!("{name}: finishing the requests in flight");
            handle.stop(true).await;
        });
        server.await
    }
}

/// The table of apps and their URLs, for people.
pub fn banner(registry: &Registry, addresses: &[SocketAddr]) -> String {
    let base = addresses.first().map_or_else(String::new, |address| format!("http://{address}"));
    let apps = registry.apps();
    if apps.is_empty() {
        return format!("Atoll serves at {base}; no apps are registered yet");
    }
    let width = apps.iter().map(|app| app.name().len()).max().unwrap_or(0).max(3);
    let mut table = format!("Atoll serves {} app{}\n", apps.len(), if apps.len() == 1 { "" } else { "s" });
    // Writing to a string does not fail.
    let _ = writeln!(table, "  {:width$}  WORKERS  URL", "APP");
    for app in apps {
        let (name, workers) = (app.name(), app.settings().workers);
        let _ = writeln!(table, "  {name:width$}  {workers:>7}  {base}/apps/{name}/");
    }
    table.pop();
    table
}

/// Keeps the registry what its file says; a file that cannot be used changes nothing but the log.
pub async fn follow_config(file: PathBuf, registry: Arc<Registry>, services: Rc<Services>) {
    let mut watch = services.watcher().watch_file(&file);
    loop {
        if !watch.changed().await.is_present() {
            log::warn!("{} was removed; the apps go on as they are", file.display());
            continue;
        }
        match Config::load(&file) {
            Ok(config) => {
                let changes = registry.apply(&config, &services);
                log::info!("{}: {changes}", file.display());
            }
            Err(error) => log::error!("the apps go on as they are, because of\n{error}"),
        }
    }
}
