//! Clients: one connection that waits, and many that are served by one thread.

mod answer;
mod body;
mod client;
mod clients;
mod echo;
mod events;
mod sockets;

use std::time::Duration;

pub(crate) use client::Client;
pub(crate) use clients::Clients;
pub(crate) use echo::Echo;
pub(crate) use events::Listeners;
pub(crate) use sockets::Sockets;

use tokio::runtime::{Builder, Runtime};

/// How long a client waits for a server: much longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A runtime on the calling thread.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// Carries out what clients do together, on the calling thread.
///
/// # Panics
/// When the server takes longer than [`PATIENCE`].
fn block_on<T>(runtime: &Runtime, work: impl Future<Output = T>) -> T {
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, work).await })
        .unwrap_or_else(|_| panic!("a server did not answer within {PATIENCE:?}"))
}
