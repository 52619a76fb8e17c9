//! A connection, and writing to it.

use std::io;
use std::task::{Context, Poll};

use actix_http::h1::Codec;
use bytes::BytesMut;
use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use super::body::Sender;
use super::chunks::Chunks;
use super::deadline::Deadline;
use super::extras::Extras;
use super::output::Output;
use crate::http::connection::shared::Shared;
use crate::http::connection::shutdown::Shutdown;
use crate::http::connection::transport::Transport;
use crate::http::connection::unsent::Account;
use crate::http::server_limits::ServerLimits;

/// A connection.
pub(super) struct Connection<'a, T> {
    pub(super) stream: T,
    pub(super) codec: Codec,
    pub(super) input: BytesMut,
    pub(super) output: Output,
    /// The body of the request that is being answered, until all of it has been read.
    pub(super) body: Option<Sender>,
    pub(super) extras: Extras,
    /// Of a body that is chunked, and may have trailers.
    pub(super) chunks: Option<Chunks>,
    /// The client waits for a 100 before it sends its body.
    pub(super) expects_continue: bool,
    /// The body could not be read to its end: what follows is no request.
    pub(super) is_broken: bool,
    /// The client has closed its end.
    pub(super) has_left: bool,
    /// The client takes nothing for now: there is a deadline for it.
    pub(super) is_stalled: bool,
    pub(super) deadline: Deadline,
    pub(super) unsent: Account,
    pub(super) limits: &'a ServerLimits,
    pub(super) shutdown: &'a Shutdown,
    /// When it is to be closed if it has no request.
    pub(super) closing_time: LocalBoxFuture<'static, ()>,
}

impl<'a, T: Transport> Connection<'a, T> {
    /// A connection of which `input` has been read already; the first head has to be there by the `deadline`.
    pub(super) fn new<S>(stream: T, input: BytesMut, deadline: Instant, shared: &'a Shared<S>) -> Self {
        Self {
            stream,
            codec: Codec::new(shared.config.clone()),
            input,
            output: Output::default(),
            body: None,
            extras: Extras::default(),
            chunks: None,
            expects_continue: false,
            is_broken: false,
            has_left: false,
            is_stalled: false,
            deadline: Deadline::new(deadline),
            unsent: Account::new(&shared.unsent),
            limits: &shared.server.limits,
            shutdown: &shared.server.shutdown,
            closing_time: Box::pin(shared.server.shutdown.closing_time()),
        }
    }

    /// Writes all that is encoded. An error when the connection cannot be used any more, also because the client does not
    /// take it in time, or others need the memory.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.output.len();
        let written = self.output.poll_write(&mut self.stream, context);
        if written.is_ready() {
            self.unsent.set(0);
            self.is_stalled = false;
            return written;
        }
        let left = self.output.len();
        if !self.is_stalled || left < before {
            self.is_stalled = true;
            self.deadline.set(Instant::now() + self.limits.write_timeout);
        }
        self.unsent.set(left);
        if self.deadline.poll(context).is_ready() || self.unsent.poll_exceeded(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}
