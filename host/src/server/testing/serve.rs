//! The host's own thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use log::LevelFilter;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::error::{PATIENCE, TestHostError};
use super::{child, libraries};
use crate::app::handle::App;
use crate::config::Config;
use crate::devkit::build::BuildOptions;
use crate::observe::logging;
use crate::registry::{Registrar, Registry};
use crate::server::http_server::Server;

/// What a test tells its host.
pub(super) enum Order {
    Reload(Arc<App>, Sender<Result<u64, String>>),
    Stop,
}

/// A host that runs on its thread.
pub(super) struct HostThread {
    /// The beginning of its URLs.
    pub(super) base: String,
    pub(super) registry: Arc<Registry>,
    pub(super) orders: UnboundedSender<Order>,
    /// Told when it has ended.
    pub(super) ended: Receiver<()>,
    pub(super) thread: Option<JoinHandle<()>>,
}

/// Starts a host on a separate thread and waits until it is listening.
pub(super) fn start(
    config: Config,
    options: BuildOptions,
    build_deadline: Duration,
) -> Result<HostThread, TestHostError> {
    logging::init_at(LevelFilter::Warn);
    child::allow();
    let (orders, ordered) = unbounded_channel();
    let (ready, readied) = channel();
    let (ends, ended) = channel();
    let run = move || {
        actix_web::rt::System::new().block_on(async {
            match prepare(&config, options, build_deadline).await {
                Ok((server, registrar)) => {
                    // Nobody waits when the test has ended, and then the order to stop is there as well.
                    let _ = ready.send(Ok((server.base_url(), registrar.registry().clone())));
                    serve(server, &registrar, ordered).await;
                }
                Err(error) => _ = ready.send(Err(error)),
            }
        });
        let _ = ends.send(());
    };
    let thread = thread::Builder::new().name("test host".to_owned()).spawn(run)?;
    // It is bounded by the deadline of the builds; what else it does takes no time.
    let limit = build_deadline.saturating_add(PATIENCE);
    let (base, registry) = readied.recv_timeout(limit).map_err(|_| TestHostError::TooLate("start"))??;
    Ok(HostThread { base, registry, orders, ended, thread: Some(thread) })
}

async fn prepare(
    config: &Config,
    options: BuildOptions,
    build_deadline: Duration,
) -> Result<(Server, Registrar), TestHostError> {
    let registrar = Registrar::builder().with_details(true).build()?;
    timeout(build_deadline, libraries::build(config, registrar.libraries(), options))
        .await
        .map_err(|_elapsed| TestHostError::BuildTooLong(build_deadline))??;
    let server = Server::bind(registrar.registry().clone(), "127.0.0.1:0")?;
    registrar.apply(config);
    Ok((server, registrar))
}

/// Serves until the test tells it to stop, or is over.
async fn serve(server: Server, registrar: &Registrar, mut ordered: UnboundedReceiver<Order>) {
    let stop = async move {
        while let Some(Order::Reload(app, answer)) = ordered.recv().await {
            // The test may have stopped waiting.
            actix_web::rt::spawn(async move { _ = answer.send(app.reload().await) });
        }
        "the test is over"
    };
    if let Err(error) = server.run(stream::once(stop).chain(stream::pending())).await {
        log::error!("the server of the test has ended: {error}");
    }
    registrar.close().await;
}
