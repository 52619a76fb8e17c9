//! `atoll dev`.

mod build_queue;
mod report;
mod watches;

use std::rc::Rc;
use std::sync::Arc;

use atoll_host::internal::http::LivePages;
use atoll_host::internal::{banner, open_files, signals};
use atoll_host::logging;
use clap::Args;

use self::build_queue::BuildQueue;
use self::report::Report;
use self::watches::Watches;
use super::listen::OpenSockets;
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
    /// Build with the `release` profile, unless an app's `build` setting names one: slower to build, faster to run.
    #[arg(long)]
    release: bool,
}

/// Builds and serves the apps of a registry until the process is stopped.
pub(super) fn run(args: &DevArgs) -> anyhow::Result<()> {
    logging::init_for_development(args.serve.log_format);
    open_files::allow_many_files();
    let open = OpenSockets { passed: serve::passed()?, ..OpenSockets::default() };
    actix_web::rt::System::new().block_on(develop(args, open))
}

async fn develop(args: &DevArgs, mut open: OpenSockets) -> anyhow::Result<()> {
    // Each save is a new library, so that each would wait for another process.
    let (host, file) = serve::host(&args.serve, &mut open)?.with_details().without_preflight().open()?;
    let registrar = host.registrar().clone();
    let config = file.load()?;
    let registry = registrar.registry().clone();
    let server = serve::listen(
        &args.serve,
        open,
        &registry,
        registrar.watcher(),
        host.certificates(),
        host.admin_certificates(),
    )?;
    let live = Arc::new(LivePages::new(registry.clone()));
    let server = server.with_live_pages(live.clone());
    let report = Rc::new(Report::new(registry.clone(), server.base_url()));
    let (pages, reports) = (live.clone().follow(registrar.events().follow()), report.clone());
    let events = registrar.events().follow();
    let follow_events = actix_web::rt::spawn(async move { tokio::join!(pages, reports.follow(events)) });
    let mut builds = BuildQueue::new(registrar, live, report, args.release);
    let mut watches = Watches::new(file);

    let stops = signals::stop_signals()?;
    builds.take(config, &mut watches);
    let base = server.base_url();
    // Each app is served as soon as it is built.
    let host = host.run(async move {
        builds.work_off(&mut watches).await;
        if let Err(error) = out::print(format!("{}\n", banner(&registry, &base))) {
            log::debug!("cannot print the table of apps: {error}");
        }
        builds.follow(watches).await;
    })?;
    serve::say_listening(&server)?;
    serve::say_admin(host.admin_address(), host.admin_certificates().is_some())?;
    let served = server.run(stops).await;
    // Ends the build that may be running, too.
    host.close().await;
    follow_events.abort();
    Ok(served?)
}
