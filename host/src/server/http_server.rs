//! The HTTP server.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;

use actix_web::App;
use actix_web::dev::Server as ActixServer;
use socket2::SockRef;

use crate::http::connection::{self, Addresses, Protocols, Shutdown};
use crate::http::{self, HttpSettings, LivePages, Mount, ServerLimits, TrustedProxies};
use crate::server::open_files;
use crate::server::service_manager;
use crate::server::signals::stop_signal;
use crate::server::tls::Tls;

/// How many connections wait at most until they are accepted. The standard library's 128 are not enough for many clients
/// at once: those beyond are heard only when they try again, a second later. The system's `net.core.somaxconn` may be
/// less.
const BACKLOG: i32 = 4096;

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
        let front = HttpSettings {
            mount: mount.into(),
            trusted: TrustedProxies::default(),
            access_log: false,
            limits: ServerLimits::DEFAULT,
        };
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

    /// Sets what its clients may take, and how long its shutdown takes.
    #[must_use]
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.front.limits = limits;
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
        let (mount, trusted, limits) = (front.mount.clone(), front.trusted.clone(), front.limits);
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
        let (threads, for_each) = open_files::threads_and_connections(limits.max_connections);
        let addresses = Addresses::new(for_each * threads, trusted);
        let factory = move || {
            connection::factory(
                application.clone(),
                protocols.clone(),
                limits,
                served.clone(),
                addresses.clone(),
            )
        };
        let server = ActixServer::build()
            .disable_signals()
            .workers(threads)
            .max_concurrent_connections(for_each)
            .shutdown_timeout(limits.shutdown_timeout.as_secs())
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

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
