//! The servers that are compared, each on threads of its own in this process.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::{process, thread};

use actix_web::rt::System;
use atoll_host::config::Config;
use atoll_host::internal::Registrar;
use atoll_host::internal::http_server::Server;
use atoll_host::internal::signals::stop_signals;
use tokio::net::TcpListener as AsyncListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::host;
use crate::library::Copied;

/// A host, until it is dropped.
pub(crate) struct Atoll {
    pub(crate) address: SocketAddr,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Atoll {
    /// A host with one app: the library of a package of the same name.
    pub(crate) fn with(package: &str) -> Self {
        Self::with_apps(Copied::of(package), &[package.to_owned()])
    }

    /// As [`with`](Self::with), with the app in a separate process.
    pub(crate) fn in_process(package: &str) -> Self {
        let library = Copied::of(package);
        let config = host::in_processes(host::config(&[package.to_owned()], &library.path()));
        Self::with_config(config, library)
    }

    /// A host with apps of these names, which have the same library.
    pub(crate) fn with_apps(library: Copied, names: &[String]) -> Self {
        let config = host::config(names, &library.path());
        Self::with_config(config, library)
    }

    fn with_config(config: Config, library: Copied) -> Self {
        let (end, ended) = oneshot::channel();
        let (address, atoll) = crossbeam_channel::bounded(1);
        let thread = thread::spawn(move || {
            System::new().block_on(run_atoll(&config, address, ended));
            drop(library);
        });
        Self { address: atoll.recv().expect("the host starts"), end: Some((end, thread)) }
    }
}

impl Drop for Atoll {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            let _ = end.send(());
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the host ends without a panic");
        }
    }
}

async fn run_atoll(
    config: &Config,
    address: crossbeam_channel::Sender<SocketAddr>,
    ended: oneshot::Receiver<()>,
) {
    let registrar = Registrar::builder().build().expect("the host starts");
    registrar.apply(config);
    let server = Server::bind(registrar.registry().clone(), "127.0.0.1:0").expect("there is a free port");
    address.send(server.addresses()[0]).expect("the bench waits for the address");
    let stops = stop_signals().expect("signals can be taken");
    tokio::select! {
        ended = server.run(stops) => {
            ended.expect("the server runs");
            registrar.close().await;
            process::exit(130);
        }
        _ = ended => registrar.close().await,
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

/// Starts the bare actix-web server. It runs until the process ends.
pub(crate) fn start_bare() -> SocketAddr {
    let (listener, address) = listener();
    thread::spawn(|| {
        System::new().block_on(async {
            atoll_bare::bare_server(listener).expect("the listener is good").await.expect("the server runs");
        });
    });
    address
}

/// Starts a server of the axum app alone. It runs until the process ends.
///
/// It has as many threads as a host with that app: one for each processor, as actix-web has, and the app's worker.
pub(crate) fn start_axum() -> SocketAddr {
    let (listener, address) = listener();
    let threads = thread::available_parallelism().map_or(1, usize::from) + 1;
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    thread::spawn(move || {
        runtime.block_on(async {
            listener.set_nonblocking(true).expect("a listener takes the option");
            let listener = AsyncListener::from_std(listener).expect("the listener is good");
            axum::serve(listener, atoll_bare::router()).await.expect("the server runs");
        });
    });
    address
}
