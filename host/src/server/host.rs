//! A host, as a part of whatever program has it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::ServiceConfig;
use tokio::task::JoinHandle;

use crate::admin::host_lock::{HostLock, HostLockError};
use crate::admin::{self, Admin, AdminOrigin, AdminToken};
use crate::app::resources::SetupError;
use crate::config::ConfigError;
use crate::http::{self, HttpSettings, LimitOutOfRange, Mount, ServerLimits, TrustedProxies};
use crate::library::preflight;
use crate::observe::certificates::Certificates;
use crate::observe::trace::SpanSink;
use crate::observe::usage;
use crate::registry::{Registrar, Registry};
use crate::server::config_file::{ConfigFile, follow_config};
use crate::server::fault_recorder::FaultRecorder;
use crate::watch::Watcher;

/// The apps of a registry file, which is followed: `atoll serve` without its server.
///
/// It runs where it was started; requests come to it through [`routes`](Self::routes), in any actix application of the
/// process. Commands such as `atoll ls` reach it like any other host.
///
/// ```no_run
/// use std::sync::{Arc, Mutex, PoisonError};
/// use actix_web::{App, HttpServer, web};
/// use atoll_host::Host;
///
/// #[actix_web::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let host = Arc::new(Host::builder("apps.json").start()?);
///     let apps = host.clone();
///     let app = move || {
///         let own = web::get().to(async || "a page of the program's own");
///         App::new().route("/", own).configure(apps.routes())
///     };
///     HttpServer::new(app).bind("127.0.0.1:3000")?.run().await?;
///     host.close().await;
///     Ok(())
/// }
/// ```
pub struct Host {
    registry: Arc<Registry>,
    front: Arc<HttpSettings>,
    watcher: Watcher,
    certificates: Certificates,
    /// What keeps the apps in line with the file.
    follow: Mutex<Option<JoinHandle<()>>>,
    admin_address: Option<SocketAddr>,
    _admin: admin::Running,
    /// Counts what the apps use.
    usage: Mutex<Option<usage::Recorder>>,
    _recorder: Option<FaultRecorder>,
    _lock: HostLock,
}

/// What a [`Host`] is to be; see [`Host::builder`].
#[derive(Debug)]
#[must_use]
pub struct HostBuilder {
    config: PathBuf,
    front: HttpSettings,
    preflight: bool,
    spans: Option<Arc<dyn SpanSink>>,
    shows_details: bool,
    admin: Option<TcpListener>,
    token: Option<AdminToken>,
    origins: Vec<AdminOrigin>,
    state: Option<PathBuf>,
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// What its apps share cannot be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Another host serves the file.
    #[error(transparent)]
    Lock(#[from] HostLockError),
    /// The file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A limit is out of its range.
    #[error(transparent)]
    Limits(#[from] LimitOutOfRange),
    /// The admin listener cannot be used.
    #[error("cannot serve the admin API: {0}")]
    Admin(io::Error),
}

impl Host {
    /// A host of the apps in this registry file.
    pub fn builder(config: impl Into<PathBuf>) -> HostBuilder {
        let mount = Mount::Registry(Arc::default());
        HostBuilder {
            config: config.into(),
            front: HttpSettings::new(mount),
            preflight: preflight::has_children(),
            spans: None,
            shows_details: false,
            admin: None,
            token: None,
            origins: Vec::new(),
            state: None,
        }
    }

    /// Adds the apps to an actix application, at its root: `/apps/{name}/…`, `/rpc/{name}`, the routes of the file,
    /// `/healthz` and `/readyz`. The application's own routes come first; all that has none is answered by the host.
    pub fn routes(&self) -> impl FnOnce(&mut ServiceConfig) + use<> {
        http::configure(self.front.clone())
    }

    /// What requests to it are answered from.
    pub(super) fn front(&self) -> HttpSettings {
        HttpSettings::clone(&self.front)
    }

    /// Its apps.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What watches its files.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// The certificates of its server, as its operator sees them.
    #[doc(hidden)]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Where the admin API is on TCP.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Has `/readyz` return 503 from now on, so that load balancers send their requests elsewhere. Call it before the program's
    /// server ends, and let it serve until the load balancers have noticed.
    pub fn announce_shutdown(&self) {
        self.front.shutdown.announce(Duration::ZERO);
    }

    /// Ends server-sent events and WebSockets, which else hold up the graceful end of a server.
    pub fn end_streams(&self) {
        self.front.mount.cancel_endless();
    }

    /// Takes all apps down, and waits until they are unloaded. Requests that come later are answered with 404.
    pub async fn close(&self) {
        if let Some(follow) = self.stop_following() {
            // An aborted task has no result.
            let _ = follow.await;
        }
        self.registry.close().await;
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It waits until what the apps have used is written.
        let _ = tokio::task::spawn_blocking(move || drop(usage)).await;
    }

    fn stop_following(&self) -> Option<JoinHandle<()>> {
        let follow = self.follow.lock().unwrap_or_else(PoisonError::into_inner).take();
        follow.inspect(JoinHandle::abort)
    }
}

/// The supervisors of its apps end with the runtime that it was started on, unless it was [closed](Self::close).
impl Drop for Host {
    fn drop(&mut self) {
        self.stop_following();
    }
}

/// A host that has its registry file, and neither follows it nor answers commands yet.
pub struct OpenHost {
    registrar: Rc<Registrar>,
    front: HttpSettings,
    admin: Admin,
    certificates: Certificates,
    usage: Option<usage::Recorder>,
    recorder: Option<FaultRecorder>,
    lock: HostLock,
}

impl OpenHost {
    /// The certificates of its server, as its operator sees them.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Adds and removes its apps.
    pub fn registrar(&self) -> &Rc<Registrar> {
        &self.registrar
    }

    /// Answers commands, and runs `follow`, which keeps the apps in line with the file, until the host is closed.
    ///
    /// # Errors
    /// The admin listener cannot be used.
    ///
    /// # Panics
    /// Outside of an actix system.
    pub fn run(self, follow: impl Future<Output = ()> + 'static) -> Result<Host, HostError> {
        let Self { registrar, front, admin, certificates, usage, recorder, lock } = self;
        let registry = registrar.registry().clone();
        Ok(Host {
            admin_address: admin.address(),
            _admin: admin.run().map_err(HostError::Admin)?,
            front: Arc::new(HttpSettings { mount: registry.clone().into(), ..front }),
            watcher: registrar.watcher().clone(),
            certificates,
            follow: Mutex::new(Some(tokio::task::spawn_local(follow))),
            registry,
            usage: Mutex::new(usage),
            _recorder: recorder,
            _lock: lock,
        })
    }
}

impl HostBuilder {
    /// Trusts the `X-Forwarded-…` headers of these clients.
    pub fn trusting(mut self, proxies: TrustedProxies) -> Self {
        self.front.trusted = proxies;
        self
    }

    /// Writes a line to the log for each request.
    pub fn with_access_log(mut self, on: bool) -> Self {
        self.front.access_log = on;
        self
    }

    /// Sets limits of requests. Where the program has its own server, those of [`ServerLimits`] that are about connections
    /// and the shutdown are that server's.
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.front.limits = limits;
        self
    }

    /// With problems that contain internal errors of the apps: for their developers, not for their users.
    pub fn with_details(self) -> Self {
        Self { shows_details: true, ..self }
    }

    /// Opens no library in a sandboxed process first, whatever the setting `preflight` of an app is. Without this, a host
    /// does so if the program has called [`run_child_process`](crate::run_child_process).
    pub fn without_preflight(self) -> Self {
        Self { preflight: false, ..self }
    }

    /// Sends the spans of requests there.
    pub fn with_spans(self, sink: Arc<dyn SpanSink>) -> Self {
        Self { spans: Some(sink), ..self }
    }

    /// Serves the admin API and the dashboard on this listener; without it, only commands of the same user reach them.
    pub fn with_admin(self, listener: TcpListener, token: Option<AdminToken>) -> Self {
        Self { admin: Some(listener), token, ..self }
    }

    /// Has the dashboard work on these origins, too, where proxies lead to the admin listener.
    pub fn with_admin_origins(self, origins: Vec<AdminOrigin>) -> Self {
        Self { origins, ..self }
    }

    /// Keeps what its apps use below this folder, which is made if need be, so that totals survive the host. Without it, they
    /// begin with the host.
    pub fn with_state_dir(self, folder: impl Into<PathBuf>) -> Self {
        Self { state: Some(folder.into()), ..self }
    }

    /// Starts it: reads the file, and starts the apps that are to start with the host.
    ///
    /// # Errors
    /// See [`HostError`].
    ///
    /// # Panics
    /// Outside of an actix system, such as `#[actix_web::main]`.
    pub fn start(self) -> Result<Host, HostError> {
        let (host, file) = self.open()?;
        host.registrar().apply(&file.load()?);
        let follow = follow_config(file, host.registrar().clone());
        host.run(follow)
    }

    /// Takes the registry file, for a host whose apps someone else registers.
    ///
    /// # Errors
    /// See [`HostError`].
    ///
    /// # Panics
    /// Outside of an actix system.
    #[doc(hidden)]
    pub fn open(self) -> Result<(OpenHost, ConfigFile), HostError> {
        let Self { config, front, preflight, spans, shows_details, admin, token, origins, state } = self;
        front.limits.check()?;
        let registrar = Registrar::builder()
            .with_preflight(preflight)
            .with_details(shows_details)
            .with_spans(spans)
            .build()?;
        let lock = HostLock::take(&registrar, &config)?;
        let recorder = record_faults(&registrar, &config);
        let usage = count_usage(&registrar, state.as_deref(), &config);
        // Watched before it is read: an edit in between is not lost.
        let file = ConfigFile::watch(config.clone(), registrar.watcher());
        let certificates = Certificates::default();
        let mut listener = Admin::new(&registrar, &config)
            .with_limits(front.limits)
            .with_certificates(certificates.clone())
            .with_token(token)
            .with_origins(origins);
        if let Some(tcp) = admin {
            listener = listener.with_listener(tcp);
        }
        let registrar = Rc::new(registrar);
        let host = OpenHost { registrar, front, admin: listener, certificates, usage, recorder, lock };
        Ok((host, file))
    }
}

/// Reports the fault that ended the process before, and has the next one recorded. A host that cannot do without.
fn record_faults(registrar: &Registrar, config: &Path) -> Option<FaultRecorder> {
    let resources = registrar.resources();
    let common = resources.staging.common_folder().inspect_err(|error| log::warn!("{error}")).ok()?;
    match FaultRecorder::start(&common, config, &resources.faults) {
        Ok(recorder) => Some(recorder),
        Err(error) => {
            log::warn!(
                "faults of apps are not recorded: cannot use a folder in {}: {error}",
                common.path().display()
            );
            None
        }
    }
}

/// Counts what the apps use, from what the process before has counted on. A host that cannot does without.
fn count_usage(registrar: &Registrar, state: Option<&Path>, config: &Path) -> Option<usage::Recorder> {
    let folder = state.map(|state| usage::folder_of(state, config));
    let counting = usage::Recorder::start(registrar.resources().usage.clone(), folder.as_deref());
    counting
        .inspect_err(|error| log::warn!("what apps use is not counted: cannot start a thread: {error}"))
        .ok()
}
