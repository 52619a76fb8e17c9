//! The HTTP server.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use actix_web::App;
use actix_web::dev::Server as ActixServer;
use actix_web::rt::task::JoinHandle;
use actix_web::web::ServiceConfig;
use futures_util::Stream;
use tokio::net::{TcpStream, UnixStream};

use crate::http::connection::{self, Addresses, Protocols, ProxyProtocol, Served};
use crate::http::{self, HttpSettings, LivePages, Mount, ServerLimits, TrustedProxies};
use crate::server::host::Host;
use crate::server::listeners::{Listener, ListeningSocket};
use crate::server::open_files;
use crate::server::stopping::{Sockets, Stopping};
use crate::server::takeover::{Ownership, Role};
use crate::tls::Tls;

/// Routes that another program adds.
pub(super) type Pages = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// A server that listens.
pub struct Server {
    listeners: Vec<Listener>,
    /// What comes on these is redirected to HTTPS.
    redirecting: Vec<Listener>,
    front: HttpSettings,
    protocols: Protocols,
    tls: Option<Tls>,
    proxy_protocol: TrustedProxies,
    /// What another program has beside the apps.
    pages: Option<Pages>,
    live: Option<Arc<LivePages>>,
    /// What the host has whose server this is.
    ownership: Option<Arc<Ownership>>,
}

impl Server {
    /// Listens on an address of TCP, for the apps of a registry or for one app alone.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub fn bind(mount: impl Into<Mount>, address: impl ToSocketAddrs) -> io::Result<Self> {
        let addresses: Vec<_> = address.to_socket_addrs()?.collect();
        Ok(Self::on(mount, Listener::all_tcp(&addresses)?))
    }

    /// As [`bind`](Self::bind), on sockets that listen already.
    pub fn on(mount: impl Into<Mount>, listeners: Vec<Listener>) -> Self {
        Self::of(HttpSettings::new(mount.into()), listeners)
    }

    /// As [`on`](Self::on), with settings of requests.
    pub(super) fn of(front: HttpSettings, listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            redirecting: Vec::new(),
            front,
            protocols: Protocols::Http1,
            tls: None,
            proxy_protocol: TrustedProxies::default(),
            pages: None,
            live: None,
            ownership: None,
        }
    }

    /// Lets another process take over from this host, or this one from another, with the sockets of this server.
    #[must_use]
    pub fn of_host(mut self, host: &Host) -> Self {
        let ownership = host.ownership();
        ownership.offer();
        self.front.deploy_tokens = host.front().deploy_tokens;
        host.serves_at(self.urls());
        Self { ownership: Some(ownership), ..self }
    }

    /// Adds routes, which come before those of the apps.
    pub(super) fn with_pages(self, pages: Pages) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// Speaks TLS, and in it HTTP/2 as well. As long as the server [runs](Self::run), its certificates are kept valid.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.front.challenges = tls.challenges().unwrap_or_default();
        Self { protocols: Protocols::Tls(tls.accept()), tls: Some(tls), ..self }
    }

    /// Redirects what comes on these sockets to HTTPS, on the port of the first socket of the server, but for what certificate
    /// authorities ask for.
    #[must_use]
    pub fn with_redirect(self, redirecting: Vec<Listener>) -> Self {
        Self { redirecting, ..self }
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

    /// Reads a header of the PROXY protocol on each connection of these proxies.
    #[must_use]
    pub fn with_proxy_protocol(self, proxies: TrustedProxies) -> Self {
        Self { proxy_protocol: proxies, ..self }
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

    /// Where it listens, in TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(Listener::address).collect()
    }

    /// The beginnings of all its URLs.
    fn urls(&self) -> Vec<String> {
        let scheme = if matches!(self.protocols, Protocols::Tls(_)) { "https" } else { "http" };
        self.addresses().iter().map(|address| format!("{scheme}://{address}")).collect()
    }

    /// The beginning of its URLs: `http://127.0.0.1:3000`; on Unix sockets alone, `unix:` with the path of the first one.
    pub fn base_url(&self) -> String {
        match self.urls().into_iter().next() {
            Some(url) => url,
            None => self.listeners.first().map(Listener::shown).unwrap_or_default(),
        }
    }

    /// All that it listens on, for people.
    pub fn shown(&self) -> Vec<String> {
        let redirecting = self.redirecting.iter().map(|listener| listener.shown() + " (redirects to HTTPS)");
        self.listeners.iter().map(Listener::shown).chain(redirecting).collect()
    }

    /// Serves until the first of `stops`, which are reasons to stop, such as [the signals](crate::server::signals::stop_signals):
    /// take those before anybody can know that this serves. Then it is not ready for `shutdown_delay`, takes no new connection,
    /// ends server-sent events and WebSockets, finishes the other requests that it has, and comes back. Another one of `stops` ends
    /// the delay.
    ///
    /// Another process that replaces this one is a reason to stop as well; it accepts the next connections.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn run(self, stops: impl Stream<Item = &'static str> + 'static) -> io::Result<()> {
        let limits = self.front.limits;
        let (mount, shutdown) = (self.front.mount.clone(), self.front.shutdown.clone());
        let (threads, for_each) =
            open_files::threads_and_connections(limits.threads(), limits.max_connections);
        let served = Served {
            protocols: self.protocols,
            limits,
            shutdown: shutdown.clone(),
            addresses: Addresses::new(for_each * threads, self.front.trusted.clone()),
            proxy_protocol: Arc::new(ProxyProtocol::of(self.proxy_protocol)),
        };
        let redirect_to = self.listeners.iter().find_map(Listener::address).map(|address| address.port());
        let redirecting = HttpSettings { redirect_to, ..self.front.clone() };
        let (front, redirecting) = (Arc::new(self.front), Arc::new(redirecting));
        let plain = Served { protocols: Protocols::Http1, ..served.clone() };
        // Where requests are redirected, certificate authorities can ask over HTTP, too.
        let over_http = !self.redirecting.is_empty();
        let serving = self.listeners.into_iter().map(|listener| (Role::Serve, listener));
        let others = self.redirecting.into_iter().map(|listener| (Role::Redirect, listener));

        let mut sockets = Sockets::default();
        let mut server = ActixServer::build()
            .disable_signals()
            .workers(threads)
            .max_concurrent_connections(for_each)
            .shutdown_timeout(limits.shutdown_timeout.as_secs_f64().ceil() as u64);
        for (role, listener) in serving.chain(others) {
            let (front, served) = match role {
                Role::Redirect => (redirecting.clone(), plain.clone()),
                _ => (front.clone(), served.clone()),
            };
            let (live, pages) = (self.live.clone(), self.pages.clone());
            let application = move || {
                let (mut app, front) = (App::new(), front.clone());
                if let Some(pages) = &pages {
                    app = app.configure(|service| pages(service));
                }
                match live.clone() {
                    None => app.configure(http::configure(front)),
                    Some(live) => app.configure(http::configure_live(front, live)),
                }
            };
            if self.ownership.is_some() {
                sockets.hand(role, &listener)?;
            }
            server = match sockets.keep(listener) {
                ListeningSocket::Tcp(listener) => server.listen("atoll", listener, move || {
                    connection::factory::<TcpStream, _, _, _>(application.clone(), served.clone())
                })?,
                ListeningSocket::Unix(listener) => server.listen_uds("atoll", listener, move || {
                    connection::factory::<UnixStream, _, _, _>(application.clone(), served.clone())
                })?,
            };
        }
        let server = server.run();
        let stopping = Stopping {
            handle: server.handle(),
            sockets,
            shutdown,
            mount,
            live: self.live,
            ownership: self.ownership,
            delay: limits.shutdown_delay,
        };
        // It runs when the server accepts connections.
        let stopping = actix_web::rt::spawn(stopping.run(stops));
        let certificates = self.tls.map(|tls| actix_web::rt::spawn(tls.follow(over_http)));
        let served = server.await;
        certificates.iter().for_each(JoinHandle::abort);
        if served.is_err() {
            stopping.abort();
        }
        served
    }
}
