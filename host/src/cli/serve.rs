//! `atoll serve`.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::rt::task::JoinHandle;
use anyhow::Context;
use atoll_host::control::Control;
use atoll_host::server::{self, ConfigFile, Server};
use atoll_host::tls::Tls;
use atoll_host::{Registry, Services, logging};

use super::{ServeArgs, out};

/// Serves the apps of a registry until the process is told to end.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    logging::init();
    actix_web::rt::System::new().block_on(async {
        let services = Rc::new(Services::new()?);
        // Watched before it is read: an edit in between is not lost.
        let file = ConfigFile::watch(args.config.clone(), services.watcher());
        let config = file.load()?;
        let registry = Arc::new(Registry::default());
        registry.apply(&config, &services);
        let (server, follow_certificate) = listen(args, &registry, &services)?;
        out::print(format!("{}\n", server::banner(&registry, &server.base_url())))?;
        let control = listen_for_control(&args.config, &registry, &services);
        let follow = server::follow_config(file, registry.clone(), services.clone());
        let follow = actix_web::rt::spawn(follow);
        server.run().await?;
        let tasks = [Some(follow), follow_certificate, control];
        tasks.iter().flatten().for_each(JoinHandle::abort);
        registry.close().await;
        Ok(())
    })
}

/// Listens as the arguments say; with TLS, the task that follows the certificate's files.
pub(super) fn listen(
    args: &ServeArgs,
    registry: &Arc<Registry>,
    services: &Services,
) -> anyhow::Result<(Server, Option<JoinHandle<()>>)> {
    let files = args.tls_cert.as_deref().zip(args.tls_key.as_deref());
    let tls = files.map(|(cert, key)| Tls::load(cert, key, services.watcher())).transpose()?;
    let mut server = Server::bind(registry.clone(), args.listen)
        .with_context(|| format!("cannot listen on {}", args.listen))?
        .trusting(args.trusted_proxy.iter().copied().collect());
    if args.h2c {
        server = server.with_cleartext_http2();
    }
    if let Some(tls) = &tls {
        server = server.with_tls(tls)?;
    }
    Ok((server, tls.map(|tls| actix_web::rt::spawn(tls.follow()))))
}

/// Listens for `atoll ls` and its like; a host that cannot serves all the same.
pub(super) fn listen_for_control(
    config: &Path,
    registry: &Arc<Registry>,
    services: &Rc<Services>,
) -> Option<JoinHandle<()>> {
    match Control::bind(services, config) {
        Ok(control) => Some(actix_web::rt::spawn(control.run(registry.clone(), services.clone()))),
        Err(error) => {
            log::warn!("`atoll ls` and its like will not reach this host: {error}");
            None
        }
    }
}
