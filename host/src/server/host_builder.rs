//! What a host is to be, and how it is put together.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::host::{Host, HostError, OpenHost};
use crate::admin::host_lock::HostLock;
use crate::admin::{Admin, AdminOrigin, AdminToken};
use crate::config::{FleetSettings, NatsUrl};
use crate::http::{HttpSettings, Mount, ServerLimits, TrustedProxies};
use crate::library::preflight;
use crate::library::stage::CommonFolder;
use crate::observe::certificates::Certificates;
use crate::observe::faults::Faults;
use crate::observe::trace::SpanSink;
use crate::observe::usage;
use crate::registry::Registrar;
use crate::server::config_file::{ConfigFile, follow_config};
use crate::server::fault_recorder::{FaultRecorder, read_history};
use crate::server::takeover::{Predecessor, Recording, Waiting};
use crate::tls::LateCertificates;

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
    admin_tls: bool,
    token: Option<AdminToken>,
    origins: Vec<AdminOrigin>,
    state: Option<PathBuf>,
    takeover: Takeover,
    fleet: Option<Vec<NatsUrl>>,
}

/// Whether a host replaces one that runs.
#[derive(Debug)]
enum Takeover {
    /// It does not: one that runs is an error.
    No,
    /// It does, if one runs.
    IfRunning,
    /// It replaces this one.
    From(Box<Predecessor>),
}

impl HostBuilder {
    /// That of a host of the apps in this registry file.
    pub(super) fn new(config: PathBuf) -> Self {
        let mount = Mount::Registry(Arc::default());
        Self {
            config,
            front: HttpSettings::new(mount),
            preflight: preflight::has_children(),
            spans: None,
            shows_details: false,
            admin: None,
            admin_tls: false,
            token: None,
            origins: Vec::new(),
            state: None,
            takeover: Takeover::No,
            fleet: None,
        }
    }

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

    /// Serves the admin API and the dashboard over TLS, with the certificates of the host's server, instead of cleartext:
    /// `atoll serve` does so if the listener is reachable from other machines. A program passes its host's [`TlsSettings`] to
    /// [`HostServer::with_tls`](crate::HostServer::with_tls).
    ///
    /// [`TlsSettings`]: crate::TlsSettings
    pub fn with_admin_tls(self) -> Self {
        Self { admin_tls: true, ..self }
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

    /// Is in a fleet on these NATS servers, whichever `fleet` in the registry file names: in that of the name there, or else in
    /// `default`.
    pub fn with_fleet(self, nats: Vec<NatsUrl>) -> Self {
        Self { fleet: Some(nats), ..self }
    }

    /// Replaces the running host of the same registry file and user, if there is one, instead of failing because of it. The
    /// running host has to be `atoll serve`, or a program that serves with [`Host::server`]; so has this one. The takeover
    /// happens in [`HostServer::run`](crate::HostServer::run), on the listeners that [`Host::server`] finds open at its
    /// addresses: it waits until the apps of this host are ready, accepts connections, and only then does the running host
    /// stop accepting them and finish its own. Until then that host is not affected if this one fails.
    pub fn with_takeover(self) -> Self {
        Self { takeover: Takeover::IfRunning, ..self }
    }

    /// As [`with_takeover`](Self::with_takeover), from a host that was found before.
    #[doc(hidden)]
    pub fn with_takeover_from(self, predecessor: Predecessor) -> Self {
        Self { takeover: Takeover::From(Box::new(predecessor)), ..self }
    }

    /// Starts it: reads the file, and starts the apps that are to start with the host.
    ///
    /// # Errors
    /// See [`HostError`].
    ///
    /// # Panics
    /// Outside of an actix system, such as `#[actix_web::main]`.
    pub fn start(mut self) -> Result<Host, HostError> {
        let nats = self.fleet.take();
        let (mut host, file) = self.open()?;
        let config = file.load()?;
        host.join(fleet(nats, config.fleet.clone())?)?;
        if let Some(predecessor) = &host.waiting.predecessor {
            predecessor.check(&config, host.fleet.is_some())?;
        }
        host.registrar().apply(&config);
        let follow = follow_config(file, host.registrar().clone(), config.fleet);
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
        let Self { config, mut front, preflight, spans, shows_details, takeover, .. } = self;
        let Self { admin, admin_tls, token, origins, state, .. } = self;
        front.limits.check()?;
        let mut predecessor = match takeover {
            Takeover::No => None,
            Takeover::IfRunning => Predecessor::find(&config)?,
            Takeover::From(predecessor) => Some(*predecessor),
        };
        let registrar = Registrar::builder()
            .with_preflight(preflight)
            .with_details(shows_details)
            .with_spans(spans)
            .build()?;
        let lock = match &mut predecessor {
            None => HostLock::take(&registrar, &config)?,
            Some(predecessor) => predecessor.take_lock()?,
        };
        // Before apps start: it decides where they run.
        let recording = record_faults(&registrar, &config, predecessor.is_some());
        let usage = count_usage(&registrar, state.as_deref(), &config, predecessor.is_some());
        // Watched before it is read: an edit in between is not lost.
        let file = ConfigFile::watch(config.clone(), registrar.watcher());
        let certificates = Certificates::default();
        let admin_certificates = admin_tls.then(LateCertificates::default);
        let control = predecessor.as_mut().and_then(Predecessor::take_control);
        let listener = Admin::adopt(control, &registrar, &config);
        let mut listener = listener
            .with_limits(front.limits)
            .with_shutdown(front.shutdown.clone())
            .with_certificates(certificates.clone())
            .with_state_dir(state)
            .with_token(token)
            .with_origins(origins)
            .with_tls(admin_certificates.clone());
        if let Some(tcp) = admin {
            listener = listener.with_listener(tcp);
        }
        front.deploy_tokens = Some(listener.deploy_tokens());
        let inherited = predecessor.as_mut().map(Predecessor::take_sockets).unwrap_or_default();
        let waiting = Waiting { admin: listener, recording, predecessor };
        let registrar = Rc::new(registrar);
        let host = OpenHost {
            registrar,
            front,
            certificates,
            admin_certificates,
            usage,
            config,
            lock,
            waiting,
            inherited,
            fleet: None,
        };
        Ok((host, file))
    }
}

/// The fleet that a host is in: that of its registry file, on these NATS servers if it was started with some.
fn fleet(
    nats: Option<Vec<NatsUrl>>,
    in_file: Option<FleetSettings>,
) -> Result<Option<FleetSettings>, HostError> {
    let fleet = match (nats, in_file) {
        (Some(nats), Some(fleet)) => Some(FleetSettings { nats, ..fleet }),
        (Some(nats), None) => Some(FleetSettings::on(nats)),
        (None, in_file) => in_file,
    };
    if fleet.is_some() && !cfg!(feature = "fleet") {
        return Err(HostError::NoFleet);
    }
    Ok(fleet)
}

/// Reports the fault that ended the process before, and has the next one recorded: by a host that replaces another one only when it has.
/// A host that cannot does without.
fn record_faults(registrar: &Registrar, config: &Path, takes_over: bool) -> Recording {
    let resources = registrar.resources();
    let common = resources.staging.common_folder().inspect_err(|error| log::warn!("{error}")).ok();
    let Some(common) = common else { return Recording::Begun(None) };
    let (config, faults) = (config.to_owned(), resources.faults.clone());
    let start = move |common: &CommonFolder, config: &Path, faults: &Faults| {
        let started = FaultRecorder::start(common, config, faults);
        started
            .inspect_err(|error| {
                log::warn!(
                    "faults of apps are not recorded: cannot use a folder in {}: {error}",
                    common.path().display()
                );
            })
            .ok()
    };
    if takes_over {
        read_history(&common, &config, &faults);
        return Recording::Later(Box::new(move || start(&common, &config, &faults)));
    }
    Recording::Begun(start(&common, &config, &faults))
}

/// Counts what the apps use, from what the process before has counted on. A host that cannot does without.
fn count_usage(
    registrar: &Registrar,
    state: Option<&Path>,
    config: &Path,
    takes_over: bool,
) -> Option<usage::Recorder> {
    let folder = state.map(|state| usage::folder_of(state, config));
    let usage = registrar.resources().usage.clone();
    let counting = if takes_over {
        usage::Recorder::start_after_another(usage, folder.as_deref())
    } else {
        usage::Recorder::start(usage, folder.as_deref())
    };
    counting
        .inspect_err(|error| log::warn!("what apps use is not counted: cannot start a thread: {error}"))
        .ok()
}
