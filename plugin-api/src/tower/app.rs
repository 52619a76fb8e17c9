//! A service on its worker: its runtime, and the way of messages to it.

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::caller::{self, Caller, Spawn};
use super::serve::Server;
use super::service::{HttpService, SendHttpService};
use super::shared::{self, Keep};
use crate::abi::Exit;
use crate::abi::port::Port;
use crate::protocol::Start;
use crate::worker::app::App;
use atoll_protocol::Error;

/// A service that is made on its worker, within its runtime.
pub struct ServiceApp<M, S: HttpService> {
    make: M,
    /// What a service can that is not bound to its thread.
    anywhere: Option<Anywhere<S>>,
    running: Option<Running<S>>,
}

struct Anywhere<S: HttpService> {
    spawn: Spawn<S>,
    keep: Keep<S>,
}

struct Running<S: HttpService> {
    runtime: Runtime,
    local: LocalSet,
    caller: Caller<S>,
}

impl<M, S: HttpService> ServiceApp<M, S> {
    /// An app of what `make` makes, when the worker starts. It is called within the worker's runtime, but where it may block.
    #[doc(hidden)]
    pub fn new(make: M) -> Self {
        Self { make, anywhere: None, running: None }
    }
}

impl<M, S: SendHttpService> ServiceApp<M, S> {
    /// As [`new`](Self::new), of a service that can answer on any thread.
    #[doc(hidden)]
    pub fn for_any_thread(make: M) -> Self {
        Self { make, anywhere: Some(Anywhere { spawn: caller::spawn, keep: shared::keep }), running: None }
    }
}

impl<M, F, S> App for ServiceApp<M, S>
where
    M: Fn() -> F,
    F: Future<Output = Result<S, Error>>,
    S: HttpService,
{
    fn start(&mut self, start: &Start) -> Result<(), Error> {
        let thread = |kind: &str| format!("{}#{} {kind}", start.app, start.generation);
        let local = LocalSet::new();
        let runtime = if start.multi_thread {
            Builder::new_multi_thread().enable_all().thread_name(thread("tokio")).build()?
        } else {
            Builder::new_current_thread().enable_all().thread_name(thread("blocking")).build()?
        };
        let make = || {
            // Not within `block_on`: a function that is not async may have a runtime for itself.
            let service = {
                let _runtime = runtime.enter();
                let _local = local.enter();
                (self.make)()
            };
            // In a `LocalSet`, nothing may block.
            if start.multi_thread { runtime.block_on(service) } else { local.block_on(&runtime, service) }
        };
        let (service, spawn) = match &self.anywhere {
            Some(Anywhere { spawn, keep }) => {
                (shared::get(start.workers, *keep, make)?, start.multi_thread.then_some(*spawn))
            }
            None if start.multi_thread => {
                return Err(Error::internal(
                    "the setting `runtime` is \"multi-thread\", and the service or its futures are not `Send`",
                ));
            }
            None => (make()?, None),
        };
        self.running = Some(Running { runtime, local, caller: Caller::new(service, spawn) });
        Ok(())
    }

    fn run(self: Box<Self>, _start: &Start, port: Port) -> Exit {
        let Some(Running { runtime, local, caller }) = self.running else { return Exit::Returned };
        let exit = local.block_on(&runtime, Server::new(caller, port).run());
        // What the app has spawned ends here, while its thread-locals are alive.
        drop(local);
        let tasks = runtime.metrics().num_alive_tasks();
        if tasks > 0 {
            let plural = if tasks == 1 { "" } else { "s" };
            log::info!("dropping {tasks} unfinished task{plural} that the app has spawned");
        }
        drop(runtime);
        exit
    }
}

impl<M, S: HttpService> std::fmt::Debug for ServiceApp<M, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceApp")
    }
}
