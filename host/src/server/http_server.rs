//! The HTTP server.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::dev::Server as ActixServer;
use futures_util::{Stream, StreamExt, stream};
use socket2::SockRef;
use tokio::time::sleep;

use crate::http::connection::{self, Addresses, Protocols, Shutdown};
use crate::http::{self, HttpSettings, LivePages, Mount, ServerLimits, TrustedProxies};
use crate::server::open_files;
use crate::server::service_manager;
use crate::server::signals::stop_signals;
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
        let front = HttpSettings::new(mount.into());
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

    /// Serves until SIGINT or SIGTERM; then is not ready for `shutdown_delay`, takes no new connection, ends server-sent events
    /// and WebSockets, finishes the other requests that it has, and comes back. Another signal ends the delay.
    ///
    /// # Errors
    /// The listener or the signals cannot be used.
    pub async fn run(self) -> io::Result<()> {
        self.run_until_one_of(stop_signals()?.inspect(|_| service_manager::stopping())).await
    }

    /// Like [`run`](Self::run), until `stop` returns the reason to stop.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn run_until(self, stop: impl Future<Output = &'static str> + 'static) -> io::Result<()> {
        self.run_until_one_of(stream::once(stop).chain(stream::pending())).await
    }

    async fn run_until_one_of(self, stops: impl Stream<Item = &'static str> + 'static) -> io::Result<()> {
        let (front, protocols) = (Arc::new(self.front), self.protocols);
        let (mount, trusted, limits) = (front.mount.clone(), front.trusted.clone(), front.limits);
        let live = self.live.clone();
        let (shutdown, served) = (front.shutdown.clone(), front.shutdown.clone());
        let application = move || {
            let (app, front) = (App::new(), front.clone());
            match live.clone() {
                None => app.configure(http::configure(front)),
                Some(live) => app.configure(http::configure_live(front, live)),
            }
        };
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
            .shutdown_timeout(limits.shutdown_timeout.as_secs_f64().ceil() as u64)
            .listen("atoll", self.listener, factory)?
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            let mut stops = pin!(stops);
            let Some(reason) = stops.next().await else { return };
            if !limits.shutdown_delay.is_zero() {
                log::info!("{reason}: not ready, and shutting down in {:?}", limits.shutdown_delay);
                tokio::select! {
                    () = announce(&shutdown, &mount, limits.shutdown_delay) => {}
                    again = stops.next() => log::info!("{}: shutting down now", again.unwrap_or(reason)),
                }
            }
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

/// Has the server leave its load balancers: they notice in the first half of the delay, and in the second half its idle
/// connections, server-sent events and WebSockets end, one after the other.
async fn announce(shutdown: &Shutdown, mount: &Mount, delay: Duration) {
    shutdown.announce(delay);
    sleep(delay / 2).await;
    mount.cancel_endless_within(delay / 2);
    sleep(delay / 2).await;
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
