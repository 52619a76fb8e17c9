//! A service on its worker: its runtime, and the way of messages to it.

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::serve::Server;
use super::service::HttpService;
use crate::abi::Exit;
use crate::abi::port::Port;
use crate::protocol::Start;
use crate::worker::app::App;
use atoll_protocol::Error;

/// A service that is made on its worker, within its runtime.
pub struct ServiceApp<M, S> {
    make: M,
    running: Option<Running<S>>,
}

struct Running<S> {
    runtime: Runtime,
    local: LocalSet,
    service: S,
}

impl<M, S> ServiceApp<M, S> {
    /// An app of what `make` makes, when the worker starts.
    #[doc(hidden)]
    pub fn new(make: M) -> Self {
        Self { make, running: None }
    }
}

impl<M: AsyncFn() -> Result<S, Error>, S: HttpService> App for ServiceApp<M, S> {
    fn start(&mut self, start: &Start) -> Result<(), Error> {
        let name = format!("{}#{} blocking", start.app, start.generation);
        let runtime = Builder::new_current_thread().enable_all().thread_name(name).build()?;
        let local = LocalSet::new();
        let service = local.block_on(&runtime, async { (self.make)().await })?;
        self.running = Some(Running { runtime, local, service });
        Ok(())
    }

    fn run(self: Box<Self>, _start: &Start, port: Port) -> Exit {
        let Some(Running { runtime, local, service }) = self.running else { return Exit::Returned };
        let exit = local.block_on(&runtime, Server::new(service, port).run());
        // What the app has spawned ends here, while its thread-locals are alive.
        drop(local);
        drop(runtime);
        exit
    }
}

impl<M, S> std::fmt::Debug for ServiceApp<M, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceApp")
    }
}
