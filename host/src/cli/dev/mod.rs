//! `atoll dev`.

mod build_queue;
mod report;
mod watches;

use std::net::TcpListener;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::rt::task::JoinHandle;
use atoll_host::internal::admin::Admin;
use atoll_host::internal::http::LivePages;
use atoll_host::internal::http_server::{self, ConfigFile};
use atoll_host::internal::{HostLock, Registry, Services, open_files};
use atoll_host::logging;
use clap::Args;

use self::build_queue::BuildQueue;
use self::report::Report;
use self::watches::Watches;
use super::out;
use super::serve::{self, ServeArgs};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll dev                                   all apps in ./apps.json
  atoll dev --release --listen 0.0.0.0:8080

Apps whose path is a crate folder are built with cargo, at startup and whenever a source file changes. Each is served \
as soon as it is built. While an app builds, or when it does not compile, the last version keeps serving. A crate's \
default feature `standalone` is disabled. Error pages show internal errors of the app, so do not expose this command \
to the internet: use `atoll serve`.";

#[derive(Args, Clone, Debug)]
pub(super) struct DevArgs {
    #[command(flatten)]
    serve: ServeArgs,
    /// Build with the `release` profile: slower to build, faster to run.
    #[arg(long)]
    release: bool,
}

/// Builds and serves the apps of a registry until the process is stopped.
pub(super) fn run(args: &DevArgs) -> anyhow::Result<()> {
    logging::init_for_development(args.serve.log_format);
    open_files::allow_many_files();
    let socket = serve::handed_over()?;
    actix_web::rt::System::new().block_on(develop(&args.serve.config, args, socket))
}

async fn develop(path: &Path, args: &DevArgs, socket: Option<TcpListener>) -> anyhow::Result<()> {
    let mut services = Services::new()?.with_details();
    if let Some(sink) = serve::spans(&args.serve)? {
        services = services.with_spans(sink);
    }
    let services = Rc::new(services);
    let _lock = HostLock::take(&services, path)?;
    let file = ConfigFile::watch(path.to_owned(), services.watcher());
    let config = file.load()?;
    let registry = Arc::new(Registry::default());
    let (server, follow_certificate) = serve::listen(&args.serve, socket, &registry, services.watcher())?;
    let live = Arc::new(LivePages::new(registry.clone()));
    let server = server.with_live_pages(live.clone());
    let report = Rc::new(Report::new(registry.clone(), server.base_url()));
    let (pages, said) = (live.clone().follow(services.events().follow()), report.clone());
    let events = services.events().follow();
    let follow = actix_web::rt::spawn(async move { tokio::join!(pages, said.follow(events)) });
    let mut workshop = BuildQueue::new(registry.clone(), services.clone(), live, report, args.release);
    let mut watches = Watches::new(file);

    workshop.take(config, &mut watches);
    let mut admin =
        Admin::new(registry.clone(), &services, path).with_token(serve::admin_token(&args.serve)?);
    admin = admin.with_origins(args.serve.admin_origin.clone());
    if let Some(listener) = serve::admin_listener(&args.serve)? {
        admin = admin.with_listener(listener);
    }
    let address = admin.address();
    let _admin = admin.run()?;
    serve::say_admin(address)?;
    let (base, built) = (server.base_url(), registry.clone());
    // Each app is served as soon as it is built.
    let build = actix_web::rt::spawn(async move {
        workshop.work_off(&mut watches).await;
        if let Err(error) = out::print(format!("{}\n", http_server::banner(&built, &base))) {
            log::debug!("cannot print the table of apps: {error}");
        }
        workshop.follow(watches).await;
    });
    let served = server.run().await;
    build.abort();
    // Ended, with the build that it may have had: an aborted task has no result.
    let _ = build.await;
    follow.abort();
    follow_certificate.iter().for_each(JoinHandle::abort);
    registry.close().await;
    Ok(served?)
}
