//! The two servers that are compared, each on threads of its own in this process.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{process, thread};

use actix_web::rt::System;
use atoll_host::server::Server;
use atoll_host::{Registry, Services};
use tokio::sync::oneshot;

use crate::hello::Copied;
use crate::host;

/// The host with `hello`, and the bare server.
pub(crate) struct Servers {
    pub(crate) atoll: SocketAddr,
    pub(crate) bare: SocketAddr,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Servers {
    pub(crate) fn start() -> Self {
        let (end, ended) = oneshot::channel();
        let (address, atoll) = crossbeam_channel::bounded(1);
        let thread = thread::spawn(move || System::new().block_on(run_atoll(address, ended)));
        Self { atoll: atoll.recv().expect("the host starts"), bare: start_bare(), end: Some((end, thread)) }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            let _ = end.send(());
            thread.join().expect("the host ends without a panic");
        }
    }
}

async fn run_atoll(address: crossbeam_channel::Sender<SocketAddr>, ended: oneshot::Receiver<()>) {
    let library = Copied::new();
    let services = Rc::new(Services::new().expect("the host's services start"));
    let registry = Arc::new(Registry::default());
    registry.apply(&host::config(&library.path()), &services);
    let server = Server::bind(registry.clone(), "127.0.0.1:0").expect("there is a free port");
    address.send(server.addresses()[0]).expect("the bench waits for the address");
    tokio::select! {
        // The server takes SIGINT and SIGTERM for itself, and comes back then.
        ended = server.run() => {
            ended.expect("the server runs");
            registry.close().await;
            process::exit(130);
        }
        _ = ended => registry.close().await,
    }
}

/// The bare server runs until the process ends.
fn start_bare() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(|| {
        System::new().block_on(async {
            atoll_benches::bare_server(listener)
                .expect("the listener is good")
                .await
                .expect("the server runs");
        });
    });
    address
}
