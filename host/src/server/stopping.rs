//! How a server stops.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures_util::{Stream, StreamExt};
use tokio::time::sleep;

use crate::fs::unix_socket::SocketFile;
use crate::http::connection::Shutdown;
use crate::http::connection::limits::{LAST_CONNECTIONS, TAKEOVER_DELAY};
use crate::http::{LivePages, Mount};
use crate::server::listeners::{Door, Listener, ListeningSocket};
use crate::server::service_manager;
use crate::server::takeover::{Handed, Ownership, Role, Successor};

/// What is to be done with the sockets of a server when it stops.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    doors: Vec<(usize, Door)>,
    files: Vec<(usize, SocketFile)>,
    /// Descriptors for the new host.
    handed: Vec<(Handed, OwnedFd)>,
    /// Those of the host that this one replaces.
    inherited: Vec<usize>,
    count: usize,
}

impl Sockets {
    /// Prepares a listener for the new host.
    pub(super) fn hand(&mut self, role: Role, listener: &Listener) -> io::Result<()> {
        self.handed.push(Handed::listener(role, listener)?);
        Ok(())
    }

    /// Keeps what belongs to a listener, and returns its socket.
    pub(super) fn keep(&mut self, listener: Listener) -> ListeningSocket {
        self.doors.extend(listener.door.map(|door| (self.count, door)));
        self.files.extend(listener.file.map(|file| (self.count, file)));
        self.inherited.extend(listener.inherited);
        self.count += 1;
        listener.socket
    }

    /// Leaves the sockets with these numbers to another process.
    fn leave(&mut self, is_left: impl Fn(usize) -> bool) {
        self.doors.retain(|(number, _)| !is_left(*number));
        let left = self.files.extract_if(.., |(number, _)| is_left(*number));
        left.for_each(|(_, mut file)| file.leave());
    }
}

/// A server that is to stop.
pub(super) struct Stopping {
    pub(super) handle: ServerHandle,
    pub(super) sockets: Sockets,
    pub(super) shutdown: Shutdown,
    pub(super) mount: Mount,
    pub(super) live: Option<Arc<LivePages>>,
    pub(super) ownership: Option<Arc<Ownership>>,
    pub(super) delay: Duration,
}

/// Why a server stops.
enum Reason {
    Signal(&'static str),
    TakenOver(Successor),
}

impl Stopping {
    /// Replaces another host if need be, waits for a reason to stop, and stops.
    pub(super) async fn run(mut self, stops: impl Stream<Item = &'static str>) {
        let mut stops = pin!(stops);
        self.take_over().await;
        service_manager::ready();
        let handed = std::mem::take(&mut self.sockets.handed);
        let taken_over = async {
            match &self.ownership {
                Some(ownership) => ownership.successor(handed).await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            signal = stops.next() => {
                let Some(signal) = signal else { return };
                Reason::Signal(signal)
            }
            successor = taken_over => Reason::TakenOver(successor),
        };
        match reason {
            Reason::Signal(signal) => self.stop(signal, stops).await,
            Reason::TakenOver(successor) => self.give_up(successor, stops).await,
        }
    }

    /// Replaces the host before, if there is one.
    async fn take_over(&mut self) {
        let Some(ownership) = &self.ownership else { return };
        if let Err(error) = ownership.take_over(self.sockets.inherited.clone()).await {
            log::error!("cannot serve the admin API: {error}");
        }
        self.sockets.files.iter_mut().for_each(|(_, file)| file.claim());
    }

    /// Stops at a signal.
    async fn stop(mut self, signal: &str, mut stops: impl Stream<Item = &'static str> + Unpin) {
        service_manager::stopping();
        if let Some(ownership) = &self.ownership {
            ownership.refuse_successors();
        }
        if !self.delay.is_zero() {
            log::info!("{signal}: not ready, and shutting down in {:?}", self.delay);
            self.shutdown.announce(self.delay);
            self.end_endless_or(signal, self.delay, &mut stops).await;
        }
        log::info!("{signal}: finishing the requests in flight");
        self.shutdown.begin();
        // A process that is about to take over has them.
        if self.ownership.as_ref().is_some_and(|ownership| ownership.is_shared()) {
            self.sockets.leave(|_| true);
            self.handle.pause().await;
        }
        self.close().await;
        self.finish().await;
    }

    /// Stops because another process serves.
    async fn give_up(mut self, successor: Successor, mut stops: impl Stream<Item = &'static str> + Unpin) {
        let process = successor.process();
        let delay = self.delay.max(TAKEOVER_DELAY);
        log::info!("process {process} has replaced this one: finishing the connections within {delay:?}");
        self.sockets.leave(|number| successor.keeps(number));
        if let Ok(process) = u32::try_from(process) {
            service_manager::taken_over_by(process);
        }
        if let Some(ownership) = &self.ownership {
            ownership.release(successor);
        }
        self.shutdown.announce_replaced(delay);
        self.close().await;
        self.handle.pause().await;
        self.end_endless_or("replaced", delay, &mut stops).await;
        log::info!("replaced: finishing the requests in flight");
        self.shutdown.begin();
        sleep(LAST_CONNECTIONS).await;
        self.finish().await;
    }

    /// Has the sockets refuse further connections that no other process has. Those that have come are accepted.
    async fn close(&mut self) {
        let doors = std::mem::take(&mut self.sockets.doors);
        doors.iter().for_each(|(_, door)| door.shut());
        self.sockets.files.clear();
        sleep(LAST_CONNECTIONS).await;
    }

    /// Has the server leave its load balancers: they notice in the first half of the delay, and in the second half its idle
    /// connections, server-sent events and WebSockets end, one after the other. Another signal ends the delay.
    async fn end_endless_or(
        &self,
        reason: &str,
        delay: Duration,
        stops: &mut (impl Stream<Item = &'static str> + Unpin),
    ) {
        let end = async {
            sleep(delay / 2).await;
            self.mount.cancel_endless_within(delay / 2);
            sleep(delay / 2).await;
        };
        tokio::select! {
            () = end => {}
            again = stops.next() => log::info!("{}: shutting down now", again.unwrap_or(reason)),
        }
    }

    /// Finishes the requests that it has.
    async fn finish(self) {
        let stopped = self.handle.stop(true);
        self.mount.cancel_endless();
        if let Some(live) = &self.live {
            live.end();
        }
        stopped.await;
    }
}
