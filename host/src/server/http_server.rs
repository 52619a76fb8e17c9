//! The HTTP server, and the registry file that it follows.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::dev::Server as ActixServer;
use socket2::SockRef;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ConfigError};
use crate::fs::regular_file;
use crate::http::connection::{self, Addresses, Protocols, Shutdown};
use crate::http::{self, HttpSettings, LivePages, Mount, TrustedProxies};
use crate::registry::{Registrar, Registry};
use crate::server::open_files;
use crate::server::service_manager;
use crate::server::tls::Tls;
use crate::watch::{FileWatch, Watcher};

/// How long open connections may take to finish their requests on shutdown, in seconds.
const SHUTDOWN_TIMEOUT: u64 = 30;

/// How many connections wait at most until they are accepted. The standard library's 128 are not enough for many clients
/// at once: those beyond are heard only when they try again, a second later. The system's `net.core.somaxconn` may be
/// less.
const BACKLOG: i32 = 4096;

/// When the registry file is read again if there was no thread for it.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    front: HttpSettings,
    protocols: Protocols,
    live: Option<Arc<LivePages>>,
}

impl Server {
    /// Listens on an address, for the apps of a registry or for one app alone.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub fn bind(mount: impl Into<Mount>, address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        SockRef::from(&listener).listen(BACKLOG)?;
        Ok(Self::on(mount, listener))
    }

    /// As [`bind`](Self::bind), on a socket that listens already, as a service manager hands it over.
    pub fn on(mount: impl Into<Mount>, listener: TcpListener) -> Self {
        let front =
            HttpSettings { mount: mount.into(), trusted: TrustedProxies::default(), access_log: false };
        Self { listener, front, protocols: Protocols::Http1, live: None }
    }

    /// Speaks TLS, and in it HTTP/2 as well.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn with_tls(self, tls: &Tls) -> Result<Self, rustls::Error> {
        Ok(Self { protocols: Protocols::Tls(Arc::new(tls.config()?)), ..self })
    }

    /// Speaks HTTP/2 without TLS as well, with clients that know that it does.
    #[must_use]
    pub fn with_cleartext_http2(self) -> Self {
        Self { protocols: Protocols::Http1Or2, ..self }
    }

    /// Trusts the `X-Forwarded-…` headers of these clients.
    #[must_use]
    pub fn trusting(mut self, proxies: TrustedProxies) -> Self {
        self.front.trusted = proxies;
        self
    }

    /// Writes a line to the log for each request.
    #[must_use]
    pub fn with_access_log(mut self, on: bool) -> Self {
        self.front.access_log = on;
        self
    }

    /// Has pages follow how their apps fare: for those who write them, not for their users.
    #[must_use]
    pub fn with_live_pages(self, live: Arc<LivePages>) -> Self {
        Self { live: Some(live), ..self }
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listener.local_addr().into_iter().collect()
    }

    /// The beginning of its URLs: `http://127.0.0.1:3000`.
    pub fn base_url(&self) -> String {
        let scheme = if matches!(self.protocols, Protocols::Tls(_)) { "https" } else { "http" };
        self.addresses().first().map_or_else(String::new, |address| format!("{scheme}://{address}"))
    }

    /// Serves until SIGINT or SIGTERM; then takes no new connection, ends server-sent events and WebSockets, finishes
    /// the other requests that it has, and comes back.
    ///
    /// # Errors
    /// The listener or the signals cannot be used.
    pub async fn run(self) -> io::Result<()> {
        let stop = stop_signal()?;
        let stop = async move {
            let signal = stop.await;
            service_manager::stopping();
            signal
        };
        self.run_until(stop).await
    }

    /// Like [`run`](Self::run), until `stop` returns the reason to stop.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn run_until(self, stop: impl Future<Output = &'static str> + 'static) -> io::Result<()> {
        let (front, protocols) = (Arc::new(self.front), self.protocols);
        let (mount, trusted) = (front.mount.clone(), front.trusted.clone());
        let live = self.live.clone();
        let application = move || {
            let (app, front) = (App::new(), front.clone());
            match live.clone() {
                None => app.configure(http::configure(front)),
                Some(live) => app.configure(http::configure_live(front, live)),
            }
        };
        let shutdown = Shutdown::default();
        let served = shutdown.clone();
        let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
        let for_each = open_files::connections_for_each(threads);
        let addresses = Addresses::new(for_each * threads, trusted);
        let factory = move || {
            connection::factory(application.clone(), protocols.clone(), served.clone(), addresses.clone())
        };
        let server = ActixServer::build()
            .disable_signals()
            .workers(threads)
            .max_concurrent_connections(for_each)
            .shutdown_timeout(SHUTDOWN_TIMEOUT)
            .listen("atoll", self.listener, factory)?
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            let reason = stop.await;
            log::info!("{reason}: finishing the requests in flight");
            shutdown.begin();
            let stopped = handle.stop(true);
            mount.cancel_endless();
            if let Some(live) = &self.live {
                live.end();
            }
            stopped.await;
        });
        server.await
    }
}

/// Waits for a signal that stops the process and returns its name. From this call on, these signals do not end it by
/// themselves.
///
/// # Errors
/// The signals cannot be used.
pub fn stop_signal() -> io::Result<impl Future<Output = &'static str>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

/// The table of apps and their URLs, for people; `base` is the server's URL.
pub fn banner(registry: &Registry, base: &str) -> String {
    let apps = registry.apps();
    if apps.is_empty() {
        return format!("Serving at {base}; no apps registered yet");
    }
    let width = apps.iter().map(|app| app.name().len()).max().unwrap_or(0).max(3);
    let mut table = format!("Serving {} app{}\n", apps.len(), if apps.len() == 1 { "" } else { "s" });
    // Writing to a string does not fail.
    let _ = writeln!(table, "  {:width$}  WORKERS  URL", "APP");
    for app in apps {
        let (name, workers) = (app.name(), app.settings().workers);
        let _ = write!(table, "  {name:width$}  {workers:>7}  {base}/apps/{name}/");
        for route in registry.routes(name) {
            let base = if route.host.is_none() { base } else { "" };
            let _ = write!(table, ", {base}{route}");
        }
        table.push('\n');
    }
    table.pop();
    table
}

/// Reloads the registry when its file changes; an invalid file is logged and ignored.
pub async fn follow_config(mut file: ConfigFile, registrar: Rc<Registrar>) {
    loop {
        let config = file.changed().await;
        let changes = registrar.apply(&config);
        log::info!("{}: {changes}", file.path().display());
    }
}

/// Reads all files that are watched again at each SIGHUP, which does not end the process from then on.
///
/// # Errors
/// The signal cannot be used.
pub fn reread_at_hangup(watcher: Watcher) -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            log::info!("SIGHUP: rereading apps.json, certificates and libraries");
            watcher.reread();
        }
    })
}

/// A registry file that is watched.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    watch: FileWatch,
    /// Whether it has changed, and was not read since.
    is_news: bool,
}

impl ConfigFile {
    /// Watches the file, from what it is now.
    pub fn watch(path: PathBuf, watcher: &Watcher) -> Self {
        Self { watch: watcher.watch_file(&path), path, is_news: false }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says now.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.path)
    }

    /// Waits until the file has changed, and can be used: one that cannot changes nothing but the log.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn changed(&mut self) -> Config {
        loop {
            if !self.is_news && !self.watch.changed().await.is_present() {
                log::warn!("{} was removed; the apps keep running", self.path.display());
                continue;
            }
            self.is_news = true;
            let path = self.path.clone();
            let loaded = regular_file::in_background(move || Config::load(path)).await;
            self.is_news = false;
            match loaded {
                Ok(Ok(config)) => return config,
                Ok(Err(error)) => log::error!("keeping the current apps:\n{error}"),
                Err(error) => {
                    log::warn!("cannot read {}, trying again: {error}", self.path.display());
                    self.is_news = true;
                    tokio::time::sleep(READ_AGAIN).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use crate::registry::Registry;

    #[test]
    fn many_clients_may_come_at_once() {
        // Nobody accepts them, as in a moment when the server has too much to do.
        let server = Server::bind(Arc::new(Registry::default()), "127.0.0.1:0").unwrap();
        let system: usize =
            std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
        let clients: Vec<_> = (0..system.min(500))
            .map(|_| TcpStream::connect_timeout(&server.addresses()[0], Duration::from_millis(900)).unwrap())
            .collect();
        assert!(!clients.is_empty());
    }
}
