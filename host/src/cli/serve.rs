//! `atoll serve`.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_web::rt::task::JoinHandle;
use anyhow::Context;
use atoll_host::AdminToken;
use atoll_host::internal::admin::AdminOrigin;
use atoll_host::internal::http_server::{self, Server};
use atoll_host::internal::regular_file::{SMALL_FILE_LIMIT, read_to_string};
use atoll_host::internal::tls::Tls;
use atoll_host::internal::{Registry, Watcher, open_files, service_manager};
use atoll_host::logging::{self, Format};
use atoll_host::trace::SpanSink;
use atoll_host::{Host, HostBuilder};
use clap::Args;
use ipnet::IpNet;

use super::state_dir::StateDir;
use super::{free_port, out};

/// Where the apps are, and where they are served.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    pub(super) config: PathBuf,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(super) listen: SocketAddr,
    /// If the port is in use, listen on the next free one.
    #[arg(long)]
    pub(super) find_free_port: bool,
    /// Serve HTTPS with this PEM certificate chain; reloaded when the file changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM format.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Accept HTTP/2 without TLS (h2c with prior knowledge).
    #[arg(long, conflicts_with = "tls_cert")]
    pub(super) h2c: bool,
    /// Trust the X-Forwarded headers of this proxy: an address, or a network such as 10.0.0.0/8. Repeatable.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub(super) trusted_proxy: Vec<IpNet>,
    /// The address for the admin API and dashboard, such as 127.0.0.1:3001. Without it, only `atoll` commands of the
    /// same user can reach the host.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) admin: Option<SocketAddr>,
    /// A file with the token that changes over --admin require.
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub(super) admin_token_file: Option<PathBuf>,
    /// Accept changes from dashboard pages at this origin, such as `https://admin.example.com` behind a proxy; they
    /// need the token. Repeatable.
    #[arg(long, value_name = "ORIGIN", requires = "admin_token_file")]
    pub(super) admin_origin: Vec<AdminOrigin>,
    /// Send a span for each request to the OpenTelemetry collector at this URL, such as http://127.0.0.1:4318.
    #[arg(long, value_name = "URL")]
    pub(super) otlp: Option<String>,
    /// The fraction of requests to trace when the client makes no sampling decision, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "1", requires = "otlp", value_parser = share)]
    pub(super) trace_share: f64,
    /// Log each request.
    #[arg(long)]
    pub(super) access_log: bool,
    #[command(flatten)]
    pub(super) state: StateDir,
    /// The format of log lines.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: Format,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| "expected an address or a network such as 10.0.0.0/8".to_owned())
}

/// Serves the apps of a registry until the process is stopped.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    logging::init(args.log_format);
    open_files::allow_many_files();
    let socket = handed_over()?;
    actix_web::rt::System::new().block_on(async {
        let host = host(args)?.start()?;
        let served = serve(args, socket, &host).await;
        // Whatever went wrong: no code of an app's is to run when the process ends.
        host.close().await;
        served
    })
}

/// The host that the arguments describe.
pub(super) fn host(args: &ServeArgs) -> anyhow::Result<HostBuilder> {
    let mut host = Host::builder(&args.config);
    if let Some(sink) = spans(args)? {
        host = host.with_spans(sink);
    }
    if let Some(folder) = args.state.path() {
        host = host.with_state_dir(folder);
    }
    if let Some(listener) = admin_listener(args)? {
        host = host.with_admin(listener, admin_token(args)?).with_admin_origins(args.admin_origin.clone());
    }
    Ok(host)
}

async fn serve(args: &ServeArgs, socket: Option<TcpListener>, host: &Host) -> anyhow::Result<()> {
    let (server, follow_certificate) = listen(args, socket, host.registry(), host.watcher())?;
    out::print(format!("{}\n", http_server::banner(host.registry(), &server.base_url())))?;
    say_admin(host.admin_address())?;
    let reread = actix_web::rt::spawn(http_server::reread_at_hangup(host.watcher().clone())?);
    service_manager::ready();
    let served = server.run().await;
    [Some(reread), follow_certificate].iter().flatten().for_each(JoinHandle::abort);
    Ok(served?)
}

/// The destination of spans, from the arguments.
#[cfg(feature = "otlp")]
fn spans(args: &ServeArgs) -> anyhow::Result<Option<Arc<dyn SpanSink>>> {
    let Some(url) = &args.otlp else { return Ok(None) };
    Ok(Some(Arc::new(atoll_host::otlp::Otlp::new(url, args.trace_share)?)))
}

/// The destination of spans, from the arguments.
#[cfg(not(feature = "otlp"))]
fn spans(args: &ServeArgs) -> anyhow::Result<Option<Arc<dyn SpanSink>>> {
    match args.otlp {
        Some(_) => anyhow::bail!("--otlp is not available: build atoll with `--features otlp`"),
        None => Ok(None),
    }
}

/// The socket that a service manager hands over. What cannot be used is found before anything is started.
pub(super) fn handed_over() -> anyhow::Result<Option<TcpListener>> {
    service_manager::socket().context("cannot use the socket from the service manager")
}

/// Listens on the socket from the service manager, or else on the configured address; with TLS, also returns the task
/// that watches the certificate's files.
pub(super) fn listen(
    args: &ServeArgs,
    handed_over: Option<TcpListener>,
    registry: &Arc<Registry>,
    watcher: &Watcher,
) -> anyhow::Result<(Server, Option<JoinHandle<()>>)> {
    let files = args.tls_cert.as_deref().zip(args.tls_key.as_deref());
    let tls = files.map(|(cert, key)| Tls::load(cert, key, watcher)).transpose()?;
    let server = match handed_over {
        Some(socket) => Server::on(registry.clone(), socket),
        None => {
            let bind = |address| Server::bind(registry.clone(), address);
            free_port::listen(args.listen, "--listen", args.find_free_port, bind)?
        }
    };
    let mut server =
        server.trusting(args.trusted_proxy.iter().copied().collect()).with_access_log(args.access_log);
    if args.h2c {
        server = server.with_cleartext_http2();
    }
    if let Some(tls) = &tls {
        server = server.with_tls(tls)?;
    }
    Ok((server, tls.map(|tls| actix_web::rt::spawn(tls.follow()))))
}

/// The admin listener, from the arguments.
fn admin_listener(args: &ServeArgs) -> anyhow::Result<Option<TcpListener>> {
    let listen = |address| free_port::listen(address, "--admin", args.find_free_port, TcpListener::bind);
    args.admin.map(listen).transpose().context("the admin API")
}

/// The token that changes over the admin listener take.
fn admin_token(args: &ServeArgs) -> anyhow::Result<Option<AdminToken>> {
    let Some(file) = &args.admin_token_file else { return Ok(None) };
    let text = read_to_string(file, SMALL_FILE_LIMIT)
        .with_context(|| format!("cannot read the admin token from {}", file.display()))?;
    let token =
        AdminToken::new(&text).with_context(|| format!("{} is empty: expected a token", file.display()))?;
    Ok(Some(token))
}

/// Prints the address of the admin listener.
pub(super) fn say_admin(address: Option<SocketAddr>) -> anyhow::Result<()> {
    if let Some(address) = address {
        out::print(format!("Admin API and dashboard at http://{address}/\n"))?;
    }
    Ok(())
}
