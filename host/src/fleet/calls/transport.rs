//! The transport of a port whose worker is an app on another host.

use std::sync::Arc;

use atoll_port::{Bell, Item, Transport};
use tokio::sync::mpsc;

/// What a port has sent.
pub(crate) struct Sent {
    /// The number of the port.
    pub(crate) port: u32,
    pub(crate) item: Item,
}

/// Hands what is sent to the thread that has the connection.
pub(crate) struct ToFleet {
    port: u32,
    sent: mpsc::UnboundedSender<Sent>,
    bell: Arc<dyn Bell>,
}

impl ToFleet {
    /// That of the port with this number.
    pub(crate) fn new(port: u32, sent: mpsc::UnboundedSender<Sent>) -> Self {
        Self { port, sent, bell: Arc::new(NeverAsleep) }
    }
}

impl Transport for ToFleet {
    fn put(&self, item: Item) {
        // Without a connection the port is closed, which ends its requests.
        let _ = self.sent.send(Sent { port: self.port, item });
    }

    fn bell(&self) -> &Arc<dyn Bell> {
        &self.bell
    }

    fn unread(&self) -> Option<u64> {
        None
    }
}

/// The thread with the connection is woken by what is sent.
#[derive(Debug)]
struct NeverAsleep;

impl Bell for NeverAsleep {
    fn is_awaited(&self) -> bool {
        false
    }

    fn ring(&self) {}
}
