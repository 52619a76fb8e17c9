//! The limits of calls to other hosts.

use std::time::Duration;

/// When a host that has not answered a request yet reports that it has it.
pub(crate) const TAKEN_AFTER: Duration = Duration::from_millis(50);

/// How long the host that was asked may not report that it has a request. Then another one is asked as well, if the request may
/// be carried out twice.
pub(crate) const TAKEN_LIMIT: Duration = Duration::from_secs(2);

/// How many hosts a request is sent to at most, one after the other, until one has it.
pub(crate) const TRIES: usize = 4;

/// How often hosts that have requests of each other make sure that the other one is there.
pub(crate) const PING_INTERVAL: Duration = Duration::from_millis(250);

/// How long a host may send nothing while it has requests of another one, or that one has some of it. A host whose connection
/// to NATS has ended is noticed at its next ping.
pub(crate) const PEER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes a message between hosts may have: the parameters or the result of a method, or a WebSocket message. Bodies of
/// HTTP have no limit, as they are streams.
pub(crate) const MAX_CALL_MESSAGE: usize = 64 << 20;

/// How many bytes a message of NATS has, if the server allows them.
pub(crate) const MAX_FRAME: usize = 256 << 10;

/// How many requests of an app on other hosts may wait until they are sent.
pub(crate) const MAX_WAITING: usize = 4096;

/// How long a host that shuts down still answers requests of hosts that do not know that yet: that it does not take them.
pub(crate) const LEAVE_DELAY: Duration = Duration::from_millis(200);

/// How long a host that shuts down waits until its last answers are sent to other hosts.
pub(crate) const FINISH_LIMIT: Duration = Duration::from_secs(5);
