//! The calls over one connection to NATS, on the thread that has it.

mod asking;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::admin::fleet::calls::elsewhere::AppsElsewhere;
use crate::admin::fleet::calls::outbox::{Outbound, Outbox};
use crate::admin::fleet::calls::reply::Reply;
use crate::admin::fleet::calls::served::{Key, Served};
use crate::admin::state::State;
use crate::app::handle::App;
use crate::fleet::call_limits::{LEAVE_DELAY, MAX_FRAME};
use crate::fleet::calls::{
    Context, ExchangeId, Frame, FrameWriter, Instance, Kind, Peers, Reply as ReplySubject, Requests, Sent,
    Subjects,
};
use crate::fleet::nats::{Bus, FleetError, Messages, Received};
use crate::fleet::{AppElsewhere, HEARTBEAT, Membership, UnfinishedCall};
use crate::registry::Registry;

/// How often the host looks what is due, while there are requests to other hosts or from them.
const TICK: Duration = Duration::from_millis(50);

/// How often the host looks which apps are elsewhere.
const LOOK: Duration = Duration::from_millis(250);

/// How long the host waits for more changes of the fleet before it reads them, at least.
const SETTLE: Duration = Duration::from_millis(10);

/// It waits so many times as long as it took to read them last: with many hosts and apps, reading takes long.
const SETTLE_SHARE: u32 = 20;

/// How much of what has come in one way is taken at once, before the other ways are looked at again.
const BURST: usize = 64;

/// An exchange for what is not part of one.
const NONE: ExchangeId = ExchangeId { port: 0, request: 0 };

/// The calls over one connection.
pub(super) struct Session {
    own: Instance,
    subjects: Subjects,
    /// How many bytes a frame may have.
    limit: usize,
    fleet: Membership,
    registry: Arc<Registry>,
    outbox: Outbox,
    peers: RefCell<Peers>,
    requests: RefCell<Requests>,
    served: RefCell<Served>,
    apps: Rc<RefCell<AppsElsewhere>>,
    /// What other hosts have.
    known: RefCell<BTreeMap<String, AppElsewhere>>,
    /// The names of other hosts.
    names: RefCell<HashMap<Instance, Arc<str>>>,
    /// The instances that were gone when they were asked last.
    gone: RefCell<HashSet<Instance>>,
    /// The instances that take no more requests.
    leaving: RefCell<HashSet<Instance>>,
    is_leaving: Cell<bool>,
    /// As long as requests may come.
    unfinished: RefCell<Option<UnfinishedCall>>,
}

/// What comes to a session.
pub(super) struct Inputs {
    pub(super) own_messages: Messages,
    pub(super) messages_to_all: Messages,
    pub(super) outbound: mpsc::UnboundedReceiver<Outbound>,
    pub(super) has_ended: mpsc::UnboundedReceiver<Key>,
    pub(super) has_sent: mpsc::UnboundedReceiver<Sent>,
}

impl Session {
    pub(super) fn new(
        own: Instance,
        bus: &Bus,
        fleet: Membership,
        state: &State,
        apps: Rc<RefCell<AppsElsewhere>>,
        outbox: Outbox,
        ended: mpsc::UnboundedSender<Key>,
    ) -> Self {
        let limit = bus.max_payload().min(MAX_FRAME);
        Self {
            own,
            subjects: Subjects::new(&fleet.settings().name, own),
            limit,
            unfinished: RefCell::new(Some(fleet.calls().begin())),
            fleet,
            registry: state.registry.clone(),
            peers: RefCell::default(),
            requests: RefCell::new(Requests::new(own, limit)),
            served: RefCell::new(Served::new(outbox.clone(), ended)),
            outbox,
            apps,
            known: RefCell::default(),
            names: RefCell::default(),
            gone: RefCell::default(),
            leaving: RefCell::default(),
            is_leaving: Cell::new(false),
        }
    }

    /// The subjects of this connection.
    pub(super) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Carries out what comes, until the connection is lost. `shutdown` is when the host takes no more requests; then it is no longer
    /// the one in `instance`.
    pub(super) async fn run(
        self: Rc<Self>,
        bus: Bus,
        mut inputs: Inputs,
        shutdown: impl Future<Output = ()>,
        instance: Rc<Cell<Option<Instance>>>,
    ) {
        let mut shutdown = std::pin::pin!(shutdown);
        let (mut tick, mut look, mut read) = (interval(TICK), interval(LOOK), interval(HEARTBEAT));
        for interval in [&mut tick, &mut look, &mut read] {
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let (mut changes, mut has_changed, mut settle) = (self.fleet.changes(), false, SETTLE);
        loop {
            let Inputs { own_messages, messages_to_all, outbound, has_ended, has_sent } = &mut inputs;
            let mut next = None;
            tokio::select! {
                received = own_messages.next() => match received {
                    Some(received) => {
                        self.take(received);
                        for _ in 0..BURST {
                            let Some(Some(received)) = own_messages.next().now_or_never() else { break };
                            self.take(received);
                        }
                    }
                    None => return,
                },
                received = messages_to_all.next() => match received {
                    Some(received) => self.take(received),
                    None => return,
                },
                Some(sent) = has_sent.recv() => {
                    self.send(sent);
                    for _ in 0..BURST {
                        let Ok(sent) = has_sent.try_recv() else { break };
                        self.send(sent);
                    }
                }
                Some(key) = has_ended.recv() => self.served.borrow_mut().end(key, &mut self.peers.borrow_mut()),
                Some(outbound) = outbound.recv() => next = Some(outbound),
                _ = tick.tick(), if !self.peers.borrow().is_empty() => self.tick(),
                _ = look.tick() => self.look(),
                Ok(()) = changes.changed(), if !has_changed => {
                    has_changed = true;
                    read.reset_after(settle);
                }
                // A host that is not heard of any more is no change.
                _ = read.tick() => {
                    has_changed = false;
                    let begun = Instant::now();
                    self.known.replace(self.fleet.elsewhere());
                    self.names.replace(self.fleet.names());
                    settle = SETTLE.max(begun.elapsed() * SETTLE_SHARE);
                    // One that was only silent may be there again.
                    self.gone.borrow_mut().clear();
                    self.look();
                }
                () = &mut shutdown, if !self.is_leaving.get() => {
                    instance.set(None);
                    self.leave();
                }
            }
            while let Some(outbound) = next.take().or_else(|| inputs.outbound.try_recv().ok()) {
                if let Err(error) = self.publish(&bus, outbound).await {
                    log::debug!("{error}");
                    return;
                }
            }
        }
    }

    /// Ends all exchanges.
    pub(super) fn close(&self) {
        self.served.borrow_mut().close();
        self.requests.borrow_mut().close();
        self.apps.borrow_mut().disconnect();
        self.unfinished.take();
    }

    async fn publish(&self, bus: &Bus, outbound: Outbound) -> Result<(), FleetError> {
        match outbound {
            Outbound::Message { subject, reply, content } => bus.send(subject, reply, content).await,
            Outbound::Finished(unfinished) => {
                if self.is_leaving.get() {
                    bus.flush().await?;
                }
                drop(unfinished);
                Ok(())
            }
        }
    }

    /// Takes a message of NATS.
    fn take(&self, received: Received) {
        let now = Instant::now();
        let Some(content) = received.content else {
            match Subjects::read_reply(&received.subject) {
                Some(ReplySubject::Request(exchange)) => {
                    let peer = self.requests.borrow().peer_of(exchange);
                    let mut peers = self.peers.borrow_mut();
                    let effects = self.requests.borrow_mut().not_delivered(exchange, &mut peers, now);
                    drop(peers);
                    self.carry_out(effects);
                    if let Some(peer) = peer {
                        self.peer_gone(peer);
                    }
                }
                Some(ReplySubject::Peer(peer)) => self.peer_gone(peer),
                None => {}
            }
            return;
        };
        let frame = match Frame::decode(content) {
            Ok(frame) => frame,
            Err(error) => return log::warn!("another host of the fleet has sent {error}"),
        };
        self.peers.borrow_mut().hear(frame.sender, now);
        match frame.kind {
            Kind::Request => self.begin(frame, now),
            Kind::ToServer => self.served.borrow_mut().take(frame, &mut self.peers.borrow_mut()),
            Kind::Cancelled => {
                let key = (frame.sender, frame.exchange);
                self.served.borrow_mut().end(key, &mut self.peers.borrow_mut());
            }
            Kind::ToCaller | Kind::Taken | Kind::NotTaken | Kind::Refused => {
                let effects = self.requests.borrow_mut().take(frame, &mut self.peers.borrow_mut(), now);
                self.carry_out(effects);
            }
            Kind::Ping => self.send_to(frame.sender, self.control(Kind::Pong)),
            Kind::Pong => {}
            Kind::Leaving => drop(self.leaving.borrow_mut().insert(frame.sender)),
        }
    }

    /// Takes a request of another host, if the app is here and takes it.
    fn begin(&self, frame: Frame, now: Instant) {
        let key = (frame.sender, frame.exchange);
        let mut served = self.served.borrow_mut();
        if served.has(key) {
            return;
        }
        let reply = Reply::new(self.outbox.clone(), &self.subjects, (self.own, self.limit), key);
        let Some(app) = self.app_of(&frame).filter(|_| !self.is_leaving.get()) else {
            return reply.not_taken();
        };
        self.fleet.requests().of(app.registered_name()).received.add(1);
        let unfinished = self.fleet.calls().begin();
        served.begin(app, frame, (reply, unfinished), &mut self.peers.borrow_mut(), now);
    }

    /// The app that a request is for, if it takes requests here.
    fn app_of(&self, frame: &Frame) -> Option<Arc<App>> {
        let context = frame.content.get(..frame.context_length as usize)?;
        let Context { app, .. } = serde_json::from_slice(context).ok()?;
        let app = self.registry.get(&app).filter(|app| app.phase().takes_requests())?;
        // Its client is not known here: each version gets its share.
        Some(app.traffic().and_then(|traffic| traffic.of_nobody().cloned()).unwrap_or(app))
    }

    /// A frame of no exchange.
    fn control(&self, kind: Kind) -> Bytes {
        FrameWriter::control(self.own, NONE, kind, b"")
    }

    /// Ends the exchanges with an instance that is gone.
    fn peer_gone(&self, peer: Instance) {
        self.gone.borrow_mut().insert(peer);
        let mut peers = self.peers.borrow_mut();
        self.served.borrow_mut().peer_gone(peer, &mut peers);
        let effects = self.requests.borrow_mut().peer_gone(peer, &mut peers, Instant::now());
        drop(peers);
        self.carry_out(effects);
    }

    /// Does what is due.
    fn tick(&self) {
        let now = Instant::now();
        self.served.borrow().look(now);
        let (pinged, silent) = {
            let mut peers = self.peers.borrow_mut();
            (peers.take_due(now), peers.silent(now))
        };
        pinged.into_iter().for_each(|peer| self.send_to(peer, self.control(Kind::Ping)));
        silent.into_iter().for_each(|peer| self.peer_gone(peer));
        let effects = self.requests.borrow_mut().look(&mut self.peers.borrow_mut(), now);
        self.carry_out(effects);
    }

    /// Looks which apps are elsewhere, and which requests are no longer pending.
    fn look(&self) {
        self.apps.borrow_mut().update(&self.known.borrow());
        let apps = self.apps.borrow();
        let is_pending = |exchange: ExchangeId| {
            apps.port(exchange.port).is_some_and(|port| port.context_of(exchange.request).is_some())
        };
        let effects = self.requests.borrow_mut().cancel_unless(is_pending, &mut self.peers.borrow_mut());
        drop(apps);
        self.carry_out(effects);
    }

    /// Takes no more requests. Those that are on their way already are refused, so that they go elsewhere.
    fn leave(&self) {
        self.is_leaving.set(true);
        self.outbox.send(self.subjects.all(), None, self.control(Kind::Leaving));
        let (unfinished, outbox) = (self.unfinished.take(), self.outbox.clone());
        tokio::task::spawn_local(async move {
            sleep(LEAVE_DELAY).await;
            unfinished.into_iter().for_each(|unfinished| outbox.put(Outbound::Finished(unfinished)));
        });
    }
}
