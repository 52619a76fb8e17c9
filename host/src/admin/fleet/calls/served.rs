//! The requests of other hosts that this one has.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};

use super::inbound::Inbound;
use super::outbox::{Outbound, Outbox};
use super::reply::Reply;
use super::task;
use crate::app::handle::App;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::fleet::UnfinishedCall;
use crate::fleet::call_limits::TAKEN_AFTER;
use crate::fleet::calls::{Assembly, ExchangeId, Frame, Instance, Message, Peers};

/// Which request it is, of which instance.
pub(super) type Key = (Instance, ExchangeId);

/// The requests that have not ended.
#[derive(Debug)]
pub(super) struct Served {
    outbox: Outbox,
    /// Notifies that one has ended.
    ended: mpsc::UnboundedSender<Key>,
    open: HashMap<Key, Open>,
}

#[derive(Debug)]
struct Open {
    app: Arc<App>,
    assembly: Assembly,
    reply: Rc<Reply>,
    begun: Instant,
    stage: Stage,
    unfinished: UnfinishedCall,
}

#[derive(Debug)]
enum Stage {
    /// Its message is not complete.
    Incomplete,
    Running(JoinHandle<()>, Inbound),
}

impl Served {
    pub(super) fn new(outbox: Outbox, ended: mpsc::UnboundedSender<Key>) -> Self {
        Self { outbox, ended, open: HashMap::default() }
    }

    /// Whether a request is there already.
    pub(super) fn has(&self, key: Key) -> bool {
        self.open.contains_key(&key)
    }

    /// Begins with a request to an app.
    pub(super) fn begin(
        &mut self,
        app: Arc<App>,
        frame: Frame,
        (reply, unfinished): (Reply, UnfinishedCall),
        peers: &mut Peers,
        now: Instant,
    ) {
        let key = (frame.sender, frame.exchange);
        let reply = Rc::new(reply);
        if frame.more {
            // The rest comes when the other host knows which one has the request.
            reply.taken();
        }
        let (assembly, stage) = (Assembly::default(), Stage::Incomplete);
        let open = Open { app, assembly, reply, begun: now, stage, unfinished };
        self.open.insert(key, open);
        peers.begin(key.0, now);
        self.take(frame, peers);
    }

    /// Takes a frame of a request.
    pub(super) fn take(&mut self, frame: Frame, peers: &mut Peers) {
        let key = (frame.sender, frame.exchange);
        // One that has ended here.
        let Some(open) = self.open.get_mut(&key) else { return };
        let taken = match open.assembly.take(frame) {
            Ok(None) => Ok(()),
            Ok(Some(message)) => open.take(message, key, &self.ended),
            Err(broken) => Err(broken.to_string()),
        };
        if let Err(why) = taken {
            let detail = format!("The request from another host failed: {why}.");
            open.reply.refuse(&Problem::new(ProblemKind::BadGateway, detail));
            self.end(key, peers);
        }
    }

    /// Ends a request, cancelling it if it runs.
    pub(super) fn end(&mut self, key: Key, peers: &mut Peers) {
        let Some(open) = self.open.remove(&key) else { return };
        peers.end(key.0);
        if let Stage::Running(task, _) = open.stage {
            task.abort();
        }
        self.outbox.put(Outbound::Finished(open.unfinished));
    }

    /// Ends the requests of an instance that is gone.
    pub(super) fn peer_gone(&mut self, gone: Instance, peers: &mut Peers) {
        let lost: Vec<Key> = self.open.keys().filter(|(caller, _)| *caller == gone).copied().collect();
        lost.into_iter().for_each(|key| self.end(key, peers));
    }

    /// Reports that this host has the requests that take a while.
    pub(super) fn look(&self, now: Instant) {
        let slow = self.open.values().filter(|open| now.duration_since(open.begun) >= TAKEN_AFTER);
        slow.for_each(|open| open.reply.taken());
    }

    /// Cancels all.
    pub(super) fn close(&mut self) {
        for (_, open) in self.open.drain() {
            if let Stage::Running(task, _) = open.stage {
                task.abort();
            }
        }
    }
}

impl Open {
    /// Takes a message: the request itself first.
    fn take(&mut self, message: Message, key: Key, ended: &mpsc::UnboundedSender<Key>) -> Result<(), String> {
        if let Stage::Running(_, inbound) = &mut self.stage {
            return inbound.take(message).map_err(|error| error.to_string());
        }
        let (inbound, receivers) = Inbound::new();
        let work = task::run(self.app.clone(), message, receivers, self.reply.clone());
        let ended = ended.clone();
        let task = spawn_local(async move {
            work.await;
            // Without a receiver, all have ended.
            let _ = ended.send(key);
        });
        self.stage = Stage::Running(task, inbound);
        Ok(())
    }
}
