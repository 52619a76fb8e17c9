//! `atoll serve`.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::rt::task::JoinHandle;
use anyhow::Context;
use atoll_host::admin::{self, Admin, Token};
use atoll_host::server::{self, ConfigFile, Server};
use atoll_host::tls::Tls;
use atoll_host::trace::SpanSink;
use atoll_host::{HostLock, Registry, Services, logging, service_manager};

use super::{ServeArgs, free_port, out};

/// Serves the apps of a registry until the process is told to end.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    logging::init(args.log_format);
    actix_web::rt::System::new().block_on(async {
        let services = Rc::new(services(args)?);
        let _lock = HostLock::take(&services, &args.config)?;
        // Watched before it is read: an edit in between is not lost.
        let file = ConfigFile::watch(args.config.clone(), services.watcher());
        let config = file.load()?;
        let registry = Arc::new(Registry::default());
        registry.apply(&config, &services);
        let (server, follow_certificate) = listen(args, &registry, &services)?;
        let admin = admin(args, &registry, &services)?;
        out::print(format!("{}\n", server::banner(&registry, &server.base_url())))?;
        let _admin = run_admin(admin)?;
        let follow = server::follow_config(file, registry.clone(), services.clone());
        let follow = actix_web::rt::spawn(follow);
        let reread = actix_web::rt::spawn(server::reread_at_hangup(services.watcher().clone())?);
        service_manager::ready();
        server.run().await?;
        let tasks = [Some(follow), Some(reread), follow_certificate];
        tasks.iter().flatten().for_each(JoinHandle::abort);
        registry.close().await;
        Ok(())
    })
}

/// What all apps share, as the arguments say.
pub(super) fn services(args: &ServeArgs) -> anyhow::Result<Services> {
    let services = Services::new()?;
    Ok(match &args.otlp {
        Some(url) => services.with_spans(spans(url, args.trace_share)?),
        None => services,
    })
}

#[cfg(feature = "otlp")]
fn spans(url: &str, share: f64) -> anyhow::Result<Arc<dyn SpanSink>> {
    Ok(Arc::new(atoll_host::otlp::Otlp::new(url, share)?))
}

#[cfg(not(feature = "otlp"))]
fn spans(_: &str, _: f64) -> anyhow::Result<Arc<dyn SpanSink>> {
    anyhow::bail!("this command was built without traces: build it with `--features otlp` to use --otlp")
}

/// Listens as the arguments say; with TLS, the task that follows the certificate's files.
pub(super) fn listen(
    args: &ServeArgs,
    registry: &Arc<Registry>,
    services: &Services,
) -> anyhow::Result<(Server, Option<JoinHandle<()>>)> {
    let files = args.tls_cert.as_deref().zip(args.tls_key.as_deref());
    let tls = files.map(|(cert, key)| Tls::load(cert, key, services.watcher())).transpose()?;
    let handed_over = service_manager::socket().context("cannot use the socket of the service manager")?;
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

/// The admin listener as the arguments say.
pub(super) fn admin(
    args: &ServeArgs,
    registry: &Arc<Registry>,
    services: &Services,
) -> anyhow::Result<Admin> {
    let token = match &args.admin_token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the admin token from {}", file.display()))?;
            Some(Token::new(&text).with_context(|| format!("{} is empty: it has no token", file.display()))?)
        }
        None => None,
    };
    let admin = Admin::new(registry.clone(), services, &args.config).with_token(token);
    match args.admin {
        None => Ok(admin),
        Some(address) => free_port::listen(address, "--admin", args.find_free_port, TcpListener::bind)
            .map(|listener| admin.with_listener(listener))
            .context("the admin API"),
    }
}

/// Has it answer, and says where.
pub(super) fn run_admin(admin: Admin) -> anyhow::Result<admin::Running> {
    let address = admin.address();
    let running = admin.run()?;
    if let Some(address) = address {
        out::print(format!("Admin API and dashboard at http://{address}/\n"))?;
    }
    Ok(running)
}
