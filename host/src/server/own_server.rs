//! The server of `atoll serve`, for hosts in other programs.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::ServiceConfig;

use crate::observe::certificates::Certificates;
use crate::server::address::ListenAddress;
use crate::server::host::Host;
use crate::server::http_server::Server;
use crate::server::listeners::Listener;
use crate::server::signals::stop_signals;
use crate::server::takeover::{InheritedSockets, Ownership, Role};
use crate::tls::{LateCertificates, Tls, TlsError, TlsSettings};
use crate::watch::Watcher;

/// A server of a host's apps that listens already; see [`Host::server`].
pub struct HostServer {
    server: Server,
    ownership: Arc<Ownership>,
    /// The sockets of the host that is replaced which no address has named yet.
    inherited: InheritedSockets,
    watcher: Watcher,
    certificates: Certificates,
    admin_certificates: Option<LateCertificates>,
}

impl Host {
    /// Listens on these addresses, to serve the apps as `atoll serve` does: within the limits of
    /// [`HostBuilder::with_limits`](crate::HostBuilder::with_limits), over HTTP/1, or with
    /// [`HostServer::with_tls`] also over HTTP/2. `pages` adds the program's own routes, which come before those of the host.
    ///
    /// ```no_run
    /// use actix_web::web;
    /// use atoll_host::Host;
    ///
    /// #[actix_web::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let host = Host::builder("apps.json").start()?;
    ///     let page = || web::get().to(async || "a page of the program's own");
    ///     let server = host.server(&["127.0.0.1:3000".parse()?], move |service| {
    ///         service.route("/", page());
    ///     })?;
    ///     server.run().await?;
    ///     host.close().await;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// An address is taken, or not this machine's; a name is not known; or an address is a socket from a service manager, which
    /// only the command takes.
    pub fn server(
        &self,
        addresses: &[ListenAddress],
        pages: impl Fn(&mut ServiceConfig) + Send + Sync + 'static,
    ) -> io::Result<HostServer> {
        let mut inherited = self.take_inherited();
        let listeners = listen(addresses, Role::Serve, &mut inherited)?;
        Ok(HostServer {
            server: Server::of(self.front(), listeners).with_pages(Arc::new(pages)).of_host(self),
            ownership: self.ownership(),
            inherited,
            watcher: self.watcher().clone(),
            certificates: self.certificates().clone(),
            admin_certificates: self.admin_certificates().cloned(),
        })
    }
}

/// Listens on these addresses, where the host that is replaced does on its sockets.
fn listen(
    addresses: &[ListenAddress],
    role: Role,
    inherited: &mut InheritedSockets,
) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let open = inherited.take(address, role);
        match address {
            _ if !open.is_empty() => listeners.extend(open),
            ListenAddress::Tcp { .. } => {
                let opened = Listener::all_tcp(&address.resolve()?)?;
                listeners.extend(opened.into_iter().map(|listener| listener.at(address.clone())));
            }
            ListenAddress::Unix { path, mode } => {
                listeners.push(Listener::unix(path.clone(), *mode)?.at(address.clone()));
            }
            ListenAddress::Passed(_) => {
                let reason = format!("{address} is for `atoll serve`: use an address");
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
        }
    }
    Ok(listeners)
}

impl HostServer {
    /// Where it listens, in TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.server.addresses()
    }

    /// Serves HTTPS, over HTTP/1 and HTTP/2, as `atoll serve` does. As long as the server [runs](Self::run), certificates are
    /// loaded again when their files change, and obtained and renewed by ACME.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn with_tls(self, settings: TlsSettings) -> Result<Self, TlsError> {
        let tls = Tls::load(settings, &self.watcher, self.certificates.clone())?;
        self.admin_certificates.iter().for_each(|certificates| certificates.set(&tls));
        Ok(Self { server: self.server.with_tls(tls), ..self })
    }

    /// Also listens on these addresses, without TLS, and redirects their requests to HTTPS. Certificate authorities validate
    /// domains there, too, if port 80 leads to one of them.
    ///
    /// # Errors
    /// As for [`Host::server`].
    pub fn with_redirect(mut self, addresses: &[ListenAddress]) -> io::Result<Self> {
        let listeners = listen(addresses, Role::Redirect, &mut self.inherited)?;
        Ok(Self { server: self.server.with_redirect(listeners), ..self })
    }

    /// Serves until SIGINT or SIGTERM, which then no longer end the process by themselves, or until another process replaces this one
    /// (see [`HostBuilder::with_takeover`](crate::HostBuilder::with_takeover)), and then shuts down: see
    /// [`ServerLimits`](crate::ServerLimits) for its delay and timeout.
    ///
    /// # Errors
    /// The sockets or the signals cannot be used; or this host was to take over from another one, and an app does not start.
    pub async fn run(self) -> io::Result<()> {
        let stops = stop_signals()?;
        // Clients of those that no address has named would wait for ever.
        drop(self.inherited);
        self.ownership.start_apps().await.map_err(io::Error::other)?;
        self.server.run(stops).await
    }
}

impl fmt::Debug for HostServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostServer").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}
