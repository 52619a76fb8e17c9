//! The admin listener: an HTTP API that looks at a running host and changes what it does, and a
//! page that shows it.
//!
//! It listens on a Unix socket that only the host's user can open, through which `atoll ls` and similar commands reach
//! the host, and optionally on a TCP address as well.

mod access;
mod admin_token;
mod api;
mod client;
mod dashboard;
mod deploy_access;
mod failure;
mod fleet;
pub(crate) mod host_lock;
mod invoke;
pub(crate) mod limits;
pub(crate) mod metrics;
mod model;
mod openapi;
mod origin;
mod requirement;
mod reserve;
mod rollout_model;
pub(crate) mod socket;
mod state;
pub(crate) mod stats;
mod token_api;
pub(crate) mod tokens;
mod traffic_model;
mod turns;
mod unknown_path;
mod versions;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::rt::task::JoinHandle;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use tokio_util::sync::DropGuard;

use self::access::Access;
use self::access::guard;
pub use self::admin_token::AdminToken;
pub use self::client::{AdminClient, AdminError, AdminServer, Followed, NoAdminServer};
use self::deploy_access::DeployAccess;
#[cfg(feature = "fleet")]
use self::fleet::RunningAgent;
pub use self::model::{
    AppDetails, AppStatus, EffectiveApp, EffectiveConfig, GenerationStatus, HostStatus, Invocation, Invoked,
    LogLevel, ProblemDetails, ProcessStatus, Serving, SettingInForce,
};
pub use self::origin::{AdminOrigin, NoOrigin};
pub use self::rollout_model::{EvidenceStatus, RolloutState, RolloutStatus, VersionFigures};
use self::socket::Socket;
use self::state::State;
pub use self::stats::{AppStats, HostStats, Stats, StatsHistory, StatsPoint};
pub use self::token_api::{CreatedToken, NewToken};
use self::tokens::Tokens;
pub use self::tokens::{NoPermission, Permission, Token};
pub use self::traffic_model::{NewTraffic, NewVersionTraffic, TrafficStatus, VersionTraffic};
use self::versions::Deployer;
pub use self::versions::{NewAppVersion, Promoted, PushedVersion, VersionState, VersionStatus};
use crate::fleet::Membership;
use crate::fs::unix_socket::SocketFile;
use crate::http::connection::Shutdown;
use crate::http::{DeployTokens, ServerLimits};
use crate::library::check::Opener;
use crate::observe::certificates::Certificates;
use crate::registry::Registrar;
use crate::tls::LateCertificates;

/// The admin listener of a host.
#[derive(Debug)]
pub struct Admin {
    state: State,
    socket: Option<Socket>,
    listener: Option<TcpListener>,
    token: Option<AdminToken>,
    /// The folder for what a restart must not lose.
    kept_in: Option<PathBuf>,
    /// Opens libraries that are pushed in a process first.
    opener: Option<Opener>,
    origins: Vec<AdminOrigin>,
    certificates: Option<LateCertificates>,
}

impl Admin {
    /// That of the host that serves the registry file `config`, whose [lock](crate::HostLock) it holds. It does not answer
    /// yet.
    pub fn new(registrar: &Registrar, config: &Path) -> Self {
        let common = registrar.resources().staging.common_folder().map_err(|error| error.to_string());
        let socket =
            common.and_then(|common| Socket::bind(common.path(), config).map_err(|error| error.to_string()));
        let socket = socket
            .inspect_err(|error| {
                log::warn!("`atoll ls` and similar commands cannot reach this host: {error}")
            })
            .ok();
        Self::on(socket, registrar, config)
    }

    /// As [`new`](Self::new), for a host that replaces another one, whose control socket it has if that has one.
    pub(crate) fn adopt(
        control: Option<(UnixListener, SocketFile)>,
        registrar: &Registrar,
        config: &Path,
    ) -> Self {
        let socket = control.map(|(listener, file)| Socket::adopt(listener, file));
        match socket {
            Some(socket) => Self::on(Some(socket), registrar, config),
            None => Self::new(registrar, config),
        }
    }

    fn on(socket: Option<Socket>, registrar: &Registrar, config: &Path) -> Self {
        let config = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
        Self {
            opener: registrar.resources().preflight.as_ref().map(|preflight| preflight.opener().clone()),
            kept_in: None,
            state: State::new(registrar.registry().clone(), registrar.resources(), config),
            socket,
            listener: None,
            token: None,
            origins: Vec::new(),
            certificates: None,
        }
    }

    /// Shows these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.state.limits = limits;
        self
    }

    /// Takes no requests of other hosts from when this is announced.
    pub(crate) fn with_shutdown(mut self, shutdown: Shutdown) -> Self {
        self.state.shutdown = shutdown;
        self
    }

    /// Shows these certificates.
    #[must_use]
    pub fn with_certificates(mut self, certificates: Certificates) -> Self {
        self.state.certificates = certificates;
        self
    }

    /// Is in this fleet, when it is the only host of its registry file.
    pub(crate) fn set_fleet(&mut self, fleet: Option<Membership>) {
        self.state.fleet = fleet;
    }

    /// Answers on TCP, too.
    #[must_use]
    pub fn with_listener(self, listener: TcpListener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Keeps what a restart must not lose in this folder: tokens of limited scope, and the versions of apps.
    #[must_use]
    pub fn with_state_dir(self, folder: Option<PathBuf>) -> Self {
        Self { kept_in: folder, ..self }
    }

    /// With a token that allows everything.
    #[must_use]
    pub fn with_token(self, token: Option<AdminToken>) -> Self {
        Self { token, ..self }
    }

    /// With pages on these origins, too, where proxies lead to it. Changes from there take the token.
    #[must_use]
    pub fn with_origins(self, origins: Vec<AdminOrigin>) -> Self {
        Self { origins, ..self }
    }

    /// With TLS on TCP.
    #[must_use]
    pub fn with_tls(self, certificates: Option<LateCertificates>) -> Self {
        Self { certificates, ..self }
    }

    /// Who may choose the versions that requests to the apps get.
    pub(crate) fn deploy_tokens(&self) -> Arc<dyn DeployTokens> {
        let tokens = Tokens::new(self.kept_in.as_deref(), self.state.config());
        Arc::new(DeployAccess { token: self.token, tokens })
    }

    /// Splits the requests to the apps between their versions as they were split when the host before this one ended.
    pub(crate) fn restore_traffic(&self) -> impl Future<Output = ()> + use<> {
        Deployer::new(&self.state, self.opener.clone(), self.kept_in.as_deref()).restore_all()
    }

    /// Where it listens on TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Another descriptor of the control socket, and its file.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn share_control(&self) -> io::Result<Option<(OwnedFd, &SocketFile)>> {
        self.socket.as_ref().map(Socket::share).transpose()
    }

    /// Another descriptor of the listener in TCP.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn share_listener(&self) -> io::Result<Option<OwnedFd>> {
        self.listener.as_ref().map(|listener| listener.as_fd().try_clone_to_owned()).transpose()
    }

    /// Starts serving on a separate thread, until the returned value is dropped.
    ///
    /// # Errors
    /// The listeners cannot be used.
    ///
    /// # Panics
    /// Outside of an actix system.
    pub fn run(self) -> io::Result<Running> {
        let address = self.address();
        let tokens = Tokens::new(self.kept_in.as_deref(), self.state.config());
        let access =
            Access { token: self.token, tokens: tokens.clone(), address, origins: self.origins.into() };
        let deployer = Deployer::new(&self.state, self.opener, self.kept_in.as_deref());
        let recording = actix_web::rt::spawn(self.state.history.clone().record(self.state.registry.clone()));
        let noticing = actix_web::rt::spawn(deployer.clone().follow(self.state.events.clone()));
        let ended = deployer.end_with();
        actix_web::rt::spawn(deployer.clone().recover());
        #[cfg(feature = "fleet")]
        let agent = (self.state.fleet.clone())
            .map(|fleet| RunningAgent::start(fleet, self.state.clone(), deployer.clone()))
            .transpose()?;
        let (access, tokens) = (Data::new(access), Data::new(tokens));
        let (state, deployer) = (Data::new(self.state), Data::from(deployer));
        let mut server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .app_data(access.clone())
                .app_data(tokens.clone())
                .app_data(deployer.clone())
                .wrap(from_fn(guard))
                .wrap(
                    DefaultHeaders::new()
                        .add(("x-content-type-options", "nosniff"))
                        .add(("cache-control", "no-store"))
                        .add(("cross-origin-resource-policy", "same-origin"))
                        .add(("referrer-policy", "no-referrer")),
                )
                .configure(api::configure)
                .configure(dashboard::configure)
                .default_service(actix_web::web::to(unknown_path::nothing_here))
        })
        .on_connect(access::prepare_connection)
        .workers(1)
        .disable_signals();
        let (listener, mut file) = self.socket.map(Socket::into_parts).unzip();
        file.iter_mut().for_each(SocketFile::claim);
        let mut reserve = None;
        if let Some(listener) = listener {
            listener.set_nonblocking(true)?;
            let same = listener.as_fd().try_clone_to_owned()?;
            reserve = Some(actix_web::rt::spawn(reserve::keep(same)));
            server = server.listen_uds(listener)?;
        }
        if let Some(listener) = self.listener {
            server = match self.certificates {
                Some(certificates) => {
                    let config = certificates.config().map_err(io::Error::other)?;
                    server.listen_rustls_0_23(listener, config)?
                }
                None => server.listen(listener)?,
            };
        }
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Ok(Running {
            handle,
            recording,
            noticing,
            reserve,
            file,
            #[cfg(feature = "fleet")]
            _agent: agent,
            _ended: ended,
        })
    }
}

/// An admin listener that answers. Dropping it ends it, with the streams that are open.
#[must_use]
#[derive(Debug)]
pub struct Running {
    handle: ServerHandle,
    /// Keeps what charts begin with.
    recording: JoinHandle<()>,
    /// Takes note of libraries that are new.
    noticing: JoinHandle<()>,
    reserve: Option<JoinHandle<()>>,
    file: Option<SocketFile>,
    /// Ends the rollouts, which continue in the next host.
    _ended: DropGuard,
    /// Keeps the host in its fleet.
    #[cfg(feature = "fleet")]
    _agent: Option<RunningAgent>,
}

impl Running {
    /// Leaves the control socket to the new host.
    pub(crate) fn leave(&mut self) {
        self.file.iter_mut().for_each(SocketFile::leave);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.recording.abort();
        self.noticing.abort();
        self.reserve.iter().for_each(JoinHandle::abort);
        // The order is given at once; what is returned only waits until it is carried out.
        drop(self.handle.stop(false));
    }
}
