//! The server of `atoll serve`, for hosts in other programs.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web::ServiceConfig;

use crate::server::address::ListenAddress;
use crate::server::host::Host;
use crate::server::http_server::Server;
use crate::server::listeners::Listener;
use crate::server::signals::stop_signals;
use crate::server::takeover::{Ownership, Role};

/// A server of a host's apps that listens already; see [`Host::server`].
pub struct HostServer {
    server: Server,
    ownership: Arc<Ownership>,
}

impl Host {
    /// Listens on these addresses, to serve the apps as `atoll serve` does: within the limits of
    /// [`HostBuilder::with_limits`](crate::HostBuilder::with_limits), over HTTP/1. `pages` adds the program's own routes, which
    /// come before those of the host.
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
        let mut listeners = Vec::new();
        let mut inherited = self.take_inherited();
        for address in addresses {
            let open = inherited.take(address, Role::Serve);
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
        let server = Server::of(self.front(), listeners).with_pages(Arc::new(pages));
        Ok(HostServer { server: server.of_host(self), ownership: self.ownership() })
    }
}

impl HostServer {
    /// Where it listens, in TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.server.addresses()
    }

    /// Serves until SIGINT or SIGTERM, which then no longer end the process by themselves, or until another process replaces this one
    /// (see [`HostBuilder::with_takeover`](crate::HostBuilder::with_takeover)), and then shuts down: see
    /// [`ServerLimits`](crate::ServerLimits) for its delay and timeout.
    ///
    /// # Errors
    /// The sockets or the signals cannot be used; or this host was to take over from another one, and an app does not start.
    pub async fn run(self) -> io::Result<()> {
        let stops = stop_signals()?;
        self.ownership.start_apps().await.map_err(io::Error::other)?;
        self.server.run(stops).await
    }
}

impl fmt::Debug for HostServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostServer").field(&self.addresses()).finish()
    }
}
