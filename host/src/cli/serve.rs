//! `atoll serve`.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use atoll_host::config::NatsUrl;
use atoll_host::internal::admin::AdminOrigin;
use atoll_host::internal::http_server::Server;
use atoll_host::internal::regular_file::{SMALL_FILE_LIMIT, read_to_string};
use atoll_host::internal::service_manager::PassedSockets;
use atoll_host::internal::takeover::{InheritedSockets, Predecessor};
use atoll_host::internal::tls::{LateCertificates, Tls};
use atoll_host::internal::{Certificates, Registry, Watcher, banner, open_files, signals};
use atoll_host::logging::{self, Format};
use atoll_host::trace::SpanSink;
use atoll_host::{AdminToken, TrustedProxy};
use atoll_host::{Host, HostBuilder};
use clap::Args;

use super::limits::LimitArgs;
use super::listen::{ListenArgs, OpenSockets};
use super::state_dir::StateDir;
use super::tls::TlsArgs;
use super::{free_port, out};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll serve --config deploy/apps.json
  atoll serve --config deploy/apps.json --takeover    replace the running host without closing its listeners";

/// Where the apps are, and where they are served.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    pub(super) config: PathBuf,
    #[command(flatten)]
    pub(super) listen: ListenArgs,
    #[command(flatten)]
    pub(super) tls: TlsArgs,
    /// Accept HTTP/2 without TLS (h2c with prior knowledge).
    #[arg(long, conflicts_with = "https")]
    pub(super) h2c: bool,
    /// Trust the X-Forwarded headers of this proxy: an address, a network such as 10.0.0.0/8, or `unix` for clients of Unix
    /// sockets. Repeatable.
    #[arg(long, value_name = "NETWORK")]
    pub(super) trusted_proxy: Vec<TrustedProxy>,
    /// Expect a PROXY protocol header (v1 or v2) on each connection of this proxy: an address, a network, or `unix`.
    /// Repeatable.
    #[arg(long, value_name = "NETWORK")]
    pub(super) proxy_protocol: Vec<TrustedProxy>,
    #[command(flatten)]
    pub(super) limits: LimitArgs,
    /// The address for the admin API and dashboard, such as 127.0.0.1:3001. Without it, only `atoll` commands of the
    /// same user can reach the host. One that other machines can reach uses the server's certificates, and each request
    /// requires a token.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) admin: Option<SocketAddr>,
    /// A file with the admin token, which allows everything. With it, changes over --admin require a token on loopback, too.
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

/// The arguments of `atoll serve`.
#[derive(Args, Clone, Debug)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    serve: ServeArgs,
    /// Take over from the host that serves the same apps.json, if one is running: on its open sockets, when the apps of this
    /// one are ready. Then the other host finishes its connections and exits. If this one fails before, the other one
    /// continues.
    #[arg(long)]
    takeover: bool,
    /// Join the fleet on these NATS servers, separated by commas, such as nats://10.0.0.5:4222, instead of on those in apps.json.
    #[arg(long, value_name = "NATS", value_delimiter = ',')]
    fleet: Vec<NatsUrl>,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// Serves the apps of a registry until the process is stopped.
pub(super) fn run(command: &ServeCommand) -> anyhow::Result<()> {
    let args = &command.serve;
    logging::init(args.log_format);
    open_files::allow_many_files();
    let mut open = OpenSockets { passed: passed()?, ..OpenSockets::default() };
    actix_web::rt::System::new().block_on(async {
        let predecessor = if command.takeover { Predecessor::find(&args.config)? } else { None };
        let host = match predecessor {
            None => host(args, &mut open)?,
            Some(mut predecessor) => {
                open.inherited = predecessor.take_sockets();
                host(args, &mut open)?.with_takeover_from(predecessor)
            }
        };
        let host = if command.fleet.is_empty() { host } else { host.with_fleet(command.fleet.clone()) };
        let host = host.start()?;
        let served = serve(args, open, &host).await;
        // Whatever went wrong: no code of an app's is to run when the process ends.
        host.close().await;
        served
    })
}

/// The host that the arguments describe.
pub(super) fn host(args: &ServeArgs, open: &mut OpenSockets) -> anyhow::Result<HostBuilder> {
    let mut host = Host::builder(&args.config).with_limits(args.limits.get()?);
    if let Some(sink) = spans(args)? {
        host = host.with_spans(sink);
    }
    if let Some(folder) = args.state.path() {
        host = host.with_state_dir(folder);
    }
    if let Some(listener) = admin_listener(args, &mut open.inherited)? {
        let is_public = listener.local_addr().is_ok_and(|address| !address.ip().is_loopback());
        host = host.with_admin(listener, admin_token(args)?).with_admin_origins(args.admin_origin.clone());
        if is_public && args.tls.is_on() {
            host = host.with_admin_tls();
        } else if is_public {
            log::warn!(
                "the admin API is reachable from other machines without TLS: tokens are readable on the way; add --acme or \
                --tls-cert, or listen on loopback behind a proxy"
            );
        }
    }
    Ok(host)
}

async fn serve(args: &ServeArgs, open: OpenSockets, host: &Host) -> anyhow::Result<()> {
    let server =
        listen(args, open, host.registry(), host.watcher(), host.certificates(), host.admin_certificates())?;
    // From when it prints where it listens, another host can take over.
    let server = server.of_host(host);
    host.start_apps_of_takeover().await?;
    // Before anybody can know where it serves: from then on, a signal is to stop it in order.
    let stops = signals::stop_signals()?;
    out::print(format!("{}\n", banner(host.registry(), &server.base_url())))?;
    say_listening(&server)?;
    say_admin(host.admin_address(), host.admin_certificates().is_some())?;
    let reread = actix_web::rt::spawn(signals::reread_at_hangup(host.watcher().clone())?);
    let served = server.run(stops).await;
    reread.abort();
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

/// The sockets that a service manager passes. What cannot be used is found before anything is started.
pub(super) fn passed() -> anyhow::Result<PassedSockets> {
    PassedSockets::from_env().context("cannot use the sockets from the service manager")
}

/// Listens where the arguments say, on the sockets that are open already.
pub(super) fn listen(
    args: &ServeArgs,
    mut open: OpenSockets,
    registry: &Arc<Registry>,
    watcher: &Watcher,
    certificates: &Certificates,
    admin_certificates: Option<&LateCertificates>,
) -> anyhow::Result<Server> {
    let tls = args.tls.settings(&args.state)?;
    let tls = tls.map(|tls| Tls::load(tls, watcher, certificates.clone())).transpose()?;
    if let (Some(tls), Some(admin)) = (&tls, admin_certificates) {
        admin.set(tls);
    }
    let redirecting = args.listen.redirecting(&mut open)?;
    let listeners = args.listen.serving(&mut open)?;
    open.passed.are_used()?;
    // Clients of the others would wait for ever.
    drop(open);
    let mut server = Server::on(registry.clone(), listeners)
        .with_redirect(redirecting)
        .trusting(args.trusted_proxy.iter().copied().collect())
        .with_proxy_protocol(args.proxy_protocol.iter().copied().collect())
        .with_access_log(args.access_log)
        .with_limits(args.limits.get()?);
    if args.h2c {
        server = server.with_cleartext_http2();
    }
    if let Some(tls) = tls {
        server = server.with_tls(tls);
    }
    Ok(server)
}

/// Prints where a server listens, if that is more than its URLs show.
pub(super) fn say_listening(server: &Server) -> anyhow::Result<()> {
    let shown = server.shown();
    if shown.len() > 1 {
        out::print(format!("Listening on {}\n", shown.join(", ")))?;
    }
    Ok(())
}

/// The admin listener, from the arguments.
fn admin_listener(args: &ServeArgs, inherited: &mut InheritedSockets) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = args.admin else { return Ok(None) };
    let any_port = args.listen.find_free_port;
    if let Some(open) = inherited.take_admin(address, any_port) {
        return Ok(Some(open));
    }
    let listener = free_port::listen(address, "--admin", any_port, TcpListener::bind);
    listener.map(Some).context("the admin API")
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
pub(super) fn say_admin(address: Option<SocketAddr>, is_tls: bool) -> anyhow::Result<()> {
    if let Some(address) = address {
        let scheme = if is_tls { "https" } else { "http" };
        out::print(format!("Admin API and dashboard at {scheme}://{address}/\n"))?;
    }
    Ok(())
}
