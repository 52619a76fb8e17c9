//! A host, as a part of whatever program has it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::ServiceConfig;
use tokio::task::JoinHandle;

use super::host_builder::HostBuilder;
use crate::admin::host_lock::{HostLock, HostLockError};
use crate::app::resources::SetupError;
use crate::config::{ConfigError, FleetSettings};
use crate::fleet::{KeyFileError, Membership};
use crate::http::{self, HttpSettings, LimitOutOfRange};
use crate::observe::certificates::Certificates;
use crate::observe::usage;
use crate::registry::{Registrar, Registry};
use crate::server::takeover::{InheritedSockets, Ownership, TakeoverError, Waiting};
use crate::tls::LateCertificates;
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
    /// Those of the admin listener, if it has TLS.
    admin_certificates: Option<LateCertificates>,
    /// Counts what the apps use.
    usage: Mutex<Option<usage::Recorder>>,
    ownership: Arc<Ownership>,
    /// The listeners of the host that this one replaces.
    inherited: Mutex<InheritedSockets>,
    fleet: Option<Membership>,
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
    /// The running host cannot be replaced.
    #[error(transparent)]
    Takeover(#[from] TakeoverError),
    /// It is to be in a fleet, and cannot.
    #[error(
        "this program cannot be in a fleet: build it with the feature `fleet`, or remove `fleet` from the registry file"
    )]
    NoFleet,
    /// The key of a signer of its fleet cannot be read.
    #[error("`signers` of `fleet` in the registry file: {0}")]
    Signers(#[from] KeyFileError),
    /// The admin listener cannot be used.
    #[error("cannot serve the admin API: {0}")]
    Admin(io::Error),
}

impl Host {
    /// A host of the apps in this registry file.
    pub fn builder(config: impl Into<PathBuf>) -> HostBuilder {
        HostBuilder::new(config.into())
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

    /// The certificates of the admin listener, to be set, if it has TLS.
    #[doc(hidden)]
    pub fn admin_certificates(&self) -> Option<&LateCertificates> {
        self.admin_certificates.as_ref()
    }

    /// Tells its fleet where it serves.
    pub(super) fn serves_at(&self, urls: Vec<String>) {
        if let Some(fleet) = &self.fleet {
            fleet.set_addresses(urls);
        }
    }

    /// What only one host of the file has.
    pub(super) fn ownership(&self) -> Arc<Ownership> {
        self.ownership.clone()
    }

    /// Takes the listeners of the host that this one replaces.
    #[doc(hidden)]
    pub fn take_inherited(&self) -> InheritedSockets {
        std::mem::take(&mut *self.inherited.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the apps serve that are to serve before this host replaces another one: those that start with the
    /// host, and those that serve in the other one.
    ///
    /// # Errors
    /// One does not start.
    #[doc(hidden)]
    pub async fn start_apps_of_takeover(&self) -> Result<(), TakeoverError> {
        self.ownership.start_apps().await
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
        // From now on, other hosts send their requests elsewhere.
        self.front.shutdown.announce(Duration::ZERO);
        if let Some(fleet) = &self.fleet {
            fleet.leave().await;
        }
        self.registry.close().await;
        if let Some(fleet) = &self.fleet {
            let left = fleet.calls().finish().await;
            if left > 0 {
                log::warn!("{left} requests of other hosts are not finished");
            }
            fleet.calls().end();
            fleet.gone().await;
        }
        let usage = self.usage.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A host that was to replace another one and did not has counted nothing that matters.
        let has_served = self.ownership.has_begun();
        // It waits until what the apps have used is written.
        let finish = move || match usage {
            Some(usage) if has_served => usage.finish(),
            other => drop(other),
        };
        let _ = tokio::task::spawn_blocking(finish).await;
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
        self.fleet.iter().for_each(|fleet| fleet.calls().end());
    }
}

/// A host that has its registry file, and neither follows it nor answers commands yet.
pub struct OpenHost {
    pub(super) registrar: Rc<Registrar>,
    pub(super) front: HttpSettings,
    pub(super) certificates: Certificates,
    pub(super) admin_certificates: Option<LateCertificates>,
    pub(super) usage: Option<usage::Recorder>,
    pub(super) config: PathBuf,
    pub(super) lock: HostLock,
    pub(super) waiting: Waiting,
    pub(super) inherited: InheritedSockets,
    pub(super) fleet: Option<Membership>,
}

impl OpenHost {
    /// The certificates of its server, as its operator sees them.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The certificates of the admin listener, to be set, if it has TLS.
    pub fn admin_certificates(&self) -> Option<&LateCertificates> {
        self.admin_certificates.as_ref()
    }

    /// Adds and removes its apps.
    pub fn registrar(&self) -> &Rc<Registrar> {
        &self.registrar
    }

    /// Is in this fleet, from when it [runs](Self::run).
    ///
    /// # Errors
    /// The key of a signer of the fleet cannot be read.
    pub(super) fn join(&mut self, fleet: Option<FleetSettings>) -> Result<(), HostError> {
        self.registrar.resources().in_fleet.set(fleet.is_some());
        self.fleet = fleet.map(Membership::new).transpose()?;
        self.waiting.admin.set_fleet(self.fleet.clone());
        Ok(())
    }

    /// Answers commands, and runs `follow`, which keeps the apps in line with the file, until the host is closed.
    ///
    /// # Errors
    /// The admin listener cannot be used.
    ///
    /// # Panics
    /// Outside of an actix system.
    pub fn run(self, follow: impl Future<Output = ()> + 'static) -> Result<Host, HostError> {
        let Self {
            registrar,
            front,
            certificates,
            admin_certificates,
            usage,
            config,
            lock,
            waiting,
            inherited,
            fleet,
        } = self;
        let registry = registrar.registry().clone();
        let admin_address = waiting.admin.address();
        let ownership = Ownership::new(&config, registry.clone(), lock, waiting);
        Ok(Host {
            admin_address,
            ownership: Arc::new(ownership.map_err(HostError::Admin)?),
            inherited: Mutex::new(inherited),
            front: Arc::new(HttpSettings { mount: registry.clone().into(), ..front }),
            watcher: registrar.watcher().clone(),
            certificates,
            admin_certificates,
            follow: Mutex::new(Some(tokio::task::spawn_local(follow))),
            registry,
            fleet,
            usage: Mutex::new(usage),
        })
    }
}
