//! What goes through a NATS server.

use std::net::SocketAddr;
use std::ops::Sub;

use crate::support::{Call, Connection};

/// What a server has received and sent since its start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) received: u64,
    pub(super) sent: u64,
    /// In both directions.
    pub(super) bytes: u64,
}

impl Traffic {
    /// What the server reports at its monitoring port.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn of(monitoring: SocketAddr) -> Result<Self, String> {
        let reply = Connection::open(monitoring).and_then(|mut server| server.call(&Call::get("/varz")));
        let report = reply.map_err(|error| format!("the NATS server at {monitoring}: {error}"))?.json();
        let count = |name: &str| report[name].as_u64().ok_or_else(|| format!("no {name} in {report}"));
        let bytes = count("in_bytes")? + count("out_bytes")?;
        Ok(Self { received: count("in_msgs")?, sent: count("out_msgs")?, bytes })
    }
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            received: self.received - before.received,
            sent: self.sent - before.sent,
            bytes: self.bytes - before.bytes,
        }
    }
}
