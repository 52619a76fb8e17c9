//! The calls over one connection to NATS, on the thread that has it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_plugin::protocol::{Head, Incoming, method};
use atoll_port::{Item, Port, buffer};
use bytes::Bytes;
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::elsewhere::AppsElsewhere;
use super::outbox::{Outbound, Outbox};
use super::reply::Reply;
use super::served::{Key, Served};
use crate::admin::state::State;
use crate::app::handle::App;
use crate::fleet::call_limits::{LEAVE_DELAY, MAX_FRAME};
use crate::fleet::calls::{
    Context, Effect, ExchangeId, Frame, FrameWriter, Instance, Kind, Parts, Peers, Reply as ReplySubject,
    Requests, Sent, Subjects,
};
use crate::fleet::nats::{Bus, FleetError, Messages, Received};
use crate::fleet::{AppElsewhere, HEARTBEAT, Membership, UnfinishedCall};
use crate::registry::Registry;

/// How often the host looks what is due, while there are requests to other hosts or from them.
const TICK: Duration = Duration::from_millis(50);

/// How often the host looks which apps are elsewhere.
const LOOK: Duration = Duration::from_millis(250);

/// How long the host waits for more changes of the fleet before it reads them.
const SETTLE: Duration = Duration::from_millis(10);

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
    /// The instances that take no more requests.
    gone: RefCell<HashSet<Instance>>,
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
            gone: RefCell::default(),
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
        [&mut tick, &mut look, &mut read]
            .map(|interval| interval.set_missed_tick_behavior(MissedTickBehavior::Delay));
        let (mut changes, mut has_changed) = (self.fleet.changes(), false);
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
                    read.reset_after(SETTLE);
                }
                // A host that is not heard of any more is no change.
                _ = read.tick() => {
                    has_changed = false;
                    self.known.replace(self.fleet.elsewhere());
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
            Kind::Leaving => drop(self.gone.borrow_mut().insert(frame.sender)),
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

    /// Sends what a port has for another host.
    fn send(&self, Sent { port: number, item }: Sent) {
        let Some(port) = self.apps.borrow().port(number) else { return };
        let request = match &item {
            Item::Request(id, ..) => Some(*id),
            Item::Notification(_) | Item::Answer(_) | Item::Wake => None,
        };
        let Some(mut message) = port.hand_out(item) else { return };
        let buffer = message.transfer.take(0).unwrap_or_default();
        let parts = Parts { text: &message.json, buffer: &buffer, ..Parts::default() };
        let effects = match request {
            Some(request) => self.ask(&port, ExchangeId { port: number, request }, parts),
            None => self.note(number, parts),
        };
        self.carry_out(effects);
    }

    fn ask(&self, port: &Port, exchange: ExchangeId, parts: Parts<'_>) -> Vec<Effect> {
        let Some(context) = port.context_of(exchange.request) else { return Vec::new() };
        let context = atoll_port::to_json(&Context::new(port.app(), &context));
        let parts = Parts { context: &context, ..parts };
        let known = self.known.borrow();
        let mut hosts = known.get(&**port.app()).map(|app| app.hosts.clone()).unwrap_or_default();
        let gone = self.gone.borrow();
        hosts.retain(|host| !gone.contains(host));
        fastrand::shuffle(&mut hosts);
        let (is_safe, app) = (is_safe(parts.text), port.app().clone());
        let (mut requests, mut peers) = (self.requests.borrow_mut(), self.peers.borrow_mut());
        vec![requests.begin(exchange, (app, hosts), is_safe, parts, &mut peers, Instant::now())]
    }

    /// Sends a notification about a request.
    fn note(&self, port: u32, parts: Parts<'_>) -> Vec<Effect> {
        let Some((method, request)) = about(parts.text) else { return Vec::new() };
        let exchange = ExchangeId { port, request };
        let (mut requests, mut peers) = (self.requests.borrow_mut(), self.peers.borrow_mut());
        if method == method::CANCEL {
            requests.cancel(exchange, &mut peers)
        } else {
            requests.send(exchange, parts, &mut peers)
        }
    }

    fn carry_out(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(peer, exchange, frame) => {
                    let reply = self.subjects.reply(ReplySubject::Request(exchange));
                    self.outbox.send(self.subjects.instance(peer), Some(reply), frame);
                }
                Effect::Send(peer, frame) => self.send_to(peer, frame),
                Effect::Deliver(exchange, message) => {
                    let Some(port) = self.apps.borrow().port(exchange.port) else { continue };
                    let buffer = buffer::from_bytes(message.buffer);
                    port.accept(atoll_port::message(Vec::from(message.text), vec![buffer]));
                }
                Effect::Fail(exchange, problem) => {
                    let Some(port) = self.apps.borrow().port(exchange.port) else { continue };
                    port.fail(exchange.request, problem);
                }
            }
        }
    }

    fn send_to(&self, peer: Instance, frame: Bytes) {
        let reply = self.subjects.reply(ReplySubject::Peer(peer));
        self.outbox.send(self.subjects.instance(peer), Some(reply), frame);
    }

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

/// Whether a request may be carried out twice (RFC 9110, section 9.2.1).
fn is_safe(text: &[u8]) -> bool {
    let Some(Head::Call { method: b"http", params, .. }) = Head::of(text) else { return false };
    ["GET", "HEAD", "OPTIONS"]
        .iter()
        .any(|method| params.starts_with(format!(r#"{{"method":"{method}""#).as_bytes()))
}

/// The method of a notification, and the request that it is about.
fn about(text: &[u8]) -> Option<(String, u64)> {
    #[derive(Deserialize)]
    struct Params {
        id: u64,
    }
    let Incoming { method, params, .. } = serde_json::from_slice(text).ok()?;
    let Params { id } = serde_json::from_str(params.map_or("null", RawValue::get)).ok()?;
    Some((method?.into_owned(), id))
}

#[cfg(test)]
mod tests {
    use atoll_plugin::protocol::HttpRequest;

    use super::*;

    #[test]
    fn only_safe_methods_are_safe() {
        for (method, expected) in
            [("GET", true), ("HEAD", true), ("OPTIONS", true), ("GETS", false), ("POST", false)]
        {
            let text = format!(r#"{{"method":"{method}","path":"/"}}"#);
            let request = HttpRequest::parse(&text, &[]).unwrap();
            assert_eq!(is_safe(&request.message(3).json), expected, "{method}");
        }
        assert!(!is_safe(br#"{"jsonrpc":"2.0","id":1,"method":"add","params":{"method":"GET"}}"#));
        assert!(!is_safe(b""));
    }

    #[test]
    fn a_notification_is_about_one_request() {
        let cancel = br#"{"jsonrpc":"2.0","method":"cancel","params":{"id":7}}"#;
        assert_eq!(about(cancel), Some(("cancel".to_owned(), 7)));
        assert_eq!(about(br#"{"jsonrpc":"2.0","method":"stop","params":null}"#), None);
        assert_eq!(about(b"{"), None);
    }
}
