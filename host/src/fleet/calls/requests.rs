//! The requests of this instance to apps on other hosts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use atoll_port::problem::{Problem, ProblemKind};
use bytes::Bytes;

use super::assembly::{Assembly, Message};
use super::frame::{ExchangeId, Frame, Instance, Kind};
use super::peers::Peers;
use super::problem::{no_host, read_problem};
use super::writer::{FrameWriter, Parts};
use crate::fleet::call_limits::{TAKEN_LIMIT, TRIES};

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send a request to an instance.
    Ask(Instance, ExchangeId, Bytes),
    /// Send something else to an instance.
    Send(Instance, Bytes),
    /// Give a message to the port.
    Deliver(ExchangeId, Message),
    /// End the request on the port.
    Fail(ExchangeId, Problem),
}

/// The requests that have not ended.
#[derive(Debug)]
pub(crate) struct Requests {
    own: Instance,
    /// How many bytes a frame may have.
    limit: usize,
    open: HashMap<ExchangeId, Request>,
}

#[derive(Debug)]
struct Request {
    app: Arc<str>,
    /// Whether it may be carried out twice.
    is_safe: bool,
    writer: FrameWriter,
    assembly: Assembly,
    /// The instance that has it, or was asked last.
    peer: Instance,
    /// `None`: the instance has it.
    asked: Option<Asked>,
}

/// A request that no instance is known to have.
#[derive(Debug)]
struct Asked {
    first: Bytes,
    /// What goes to the instance that has it.
    held: Vec<Bytes>,
    /// The instances that can be asked next, the last one first.
    next: Vec<Instance>,
    at: Instant,
}

impl Requests {
    /// None, of this instance, with frames of at most so many bytes.
    pub(crate) fn new(own: Instance, limit: usize) -> Self {
        Self { own, limit, open: HashMap::new() }
    }

    /// The instance that has a request, or was asked last.
    pub(crate) fn peer_of(&self, exchange: ExchangeId) -> Option<Instance> {
        self.open.get(&exchange).map(|request| request.peer)
    }

    /// Asks one of these instances, and the next one where that one does not take the request. `is_safe`: it may be carried out
    /// twice.
    pub(crate) fn begin(
        &mut self,
        exchange: ExchangeId,
        (app, mut hosts): (Arc<str>, Vec<Instance>),
        is_safe: bool,
        parts: Parts<'_>,
        peers: &mut Peers,
        now: Instant,
    ) -> Effect {
        let mut writer = FrameWriter::new(self.own, exchange, self.limit);
        let mut frames = match writer.write(Kind::Request, parts, false) {
            Ok(frames) => frames.into_iter(),
            Err(error) => {
                let detail = format!("The request to the app `{app}` on another host has {error}.");
                return Effect::Fail(exchange, Problem::new(ProblemKind::BodyTooLarge, detail));
            }
        };
        hosts.truncate(TRIES);
        let Some(peer) = hosts.pop() else { return Effect::Fail(exchange, no_host(&app)) };
        let first = frames.next().unwrap_or_default();
        let held = frames.collect();
        let asked = Asked { first: first.clone(), held, next: hosts, at: now };
        peers.begin(peer, now);
        let (assembly, asked) = (Assembly::default(), Some(asked));
        self.open.insert(exchange, Request { app, is_safe, writer, assembly, peer, asked });
        Effect::Ask(peer, exchange, first)
    }

    /// Sends a message to the instance that has a request, as soon as one has.
    pub(crate) fn send(&mut self, exchange: ExchangeId, parts: Parts<'_>, peers: &mut Peers) -> Vec<Effect> {
        let Some(request) = self.open.get_mut(&exchange) else { return Vec::new() };
        let frames = match request.writer.write(Kind::ToServer, parts, false) {
            Ok(frames) => frames,
            Err(error) => {
                let detail = format!("A message to the app `{}` on another host has {error}.", request.app);
                let mut effects = self.cancel(exchange, peers);
                effects.push(Effect::Fail(exchange, Problem::new(ProblemKind::BodyTooLarge, detail)));
                return effects;
            }
        };
        match &mut request.asked {
            Some(asked) => {
                asked.held.extend(frames);
                Vec::new()
            }
            None => frames.into_iter().map(|frame| Effect::Send(request.peer, frame)).collect(),
        }
    }

    /// Takes note that a request is no longer pending.
    pub(crate) fn cancel(&mut self, exchange: ExchangeId, peers: &mut Peers) -> Vec<Effect> {
        let Some(peer) = self.open.get(&exchange).map(|request| request.peer) else { return Vec::new() };
        self.remove(exchange, peers);
        vec![cancelled(self.own, peer, exchange)]
    }

    /// Takes note of those that are no longer pending without a cancellation.
    pub(crate) fn cancel_unless(
        &mut self,
        is_pending: impl Fn(ExchangeId) -> bool,
        peers: &mut Peers,
    ) -> Vec<Effect> {
        let over: Vec<_> = self.open.keys().filter(|exchange| !is_pending(**exchange)).copied().collect();
        over.into_iter().flat_map(|exchange| self.cancel(exchange, peers)).collect()
    }

    /// Takes a frame that answers a request.
    pub(crate) fn take(&mut self, frame: Frame, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let Frame { exchange, sender, kind, .. } = frame;
        let Some(request) = self.open.get_mut(&exchange).filter(|request| request.peer == sender) else {
            // It has ended here, or another instance was asked meanwhile, and it goes on there.
            let goes_on = kind == Kind::Taken || kind == Kind::ToCaller && !frame.last;
            return if goes_on { vec![cancelled(self.own, sender, exchange)] } else { Vec::new() };
        };
        if kind == Kind::NotTaken {
            return self.ask_next(exchange, peers, now);
        }
        let held = request.asked.take().map(|asked| asked.held).unwrap_or_default();
        let mut effects: Vec<_> = held.into_iter().map(|frame| Effect::Send(sender, frame)).collect();
        match kind {
            Kind::ToCaller => match request.assembly.take(frame) {
                Ok(None) => {}
                Ok(Some(message)) => {
                    if message.last {
                        self.remove(exchange, peers);
                    }
                    effects.push(Effect::Deliver(exchange, message));
                }
                Err(broken) => {
                    let app = request.app.clone();
                    let detail = format!("The request to the app `{app}` on another host failed: {broken}.");
                    effects.extend(self.cancel(exchange, peers));
                    effects.push(Effect::Fail(exchange, Problem::new(ProblemKind::BadGateway, detail)));
                }
            },
            Kind::Refused => {
                self.remove(exchange, peers);
                effects.push(Effect::Fail(exchange, read_problem(&frame.content)));
            }
            _ => {}
        }
        effects
    }

    /// Takes note that the instance that was asked was gone before.
    pub(crate) fn not_delivered(
        &mut self,
        exchange: ExchangeId,
        peers: &mut Peers,
        now: Instant,
    ) -> Vec<Effect> {
        match self.open.get(&exchange) {
            Some(Request { asked: Some(_), .. }) => self.ask_next(exchange, peers, now),
            _ => Vec::new(),
        }
    }

    /// Takes note that an instance is gone: the requests that it had, or may have had, have failed, and the others go to the
    /// next one.
    pub(crate) fn peer_gone(&mut self, gone: Instance, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let lost: Vec<ExchangeId> = self.of(|request| request.peer == gone);
        let mut effects = Vec::new();
        for exchange in lost {
            let Some(request) = self.open.get(&exchange) else { continue };
            if request.is_safe && request.asked.is_some() {
                effects.extend(self.ask_next(exchange, peers, now));
                continue;
            }
            let detail = format!(
                "The host that had this request to the app `{}` is gone. The request may have taken effect.",
                request.app
            );
            self.remove(exchange, peers);
            effects.push(Effect::Fail(exchange, Problem::new(ProblemKind::BadGateway, detail)));
        }
        effects
    }

    /// Sends requests that no instance has taken in time to the next one, where that is safe.
    pub(crate) fn look(&mut self, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let is_late = |asked: &Asked| now.duration_since(asked.at) >= TAKEN_LIMIT && !asked.next.is_empty();
        let late = self.of(|request| request.is_safe && request.asked.as_ref().is_some_and(is_late));
        late.into_iter().flat_map(|exchange| self.ask_next(exchange, peers, now)).collect()
    }

    /// Asks the next instance, if there is one.
    fn ask_next(&mut self, exchange: ExchangeId, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let Some(request) = self.open.get_mut(&exchange) else { return Vec::new() };
        let asked = request.asked.as_mut();
        if let Some((next, asked)) = asked.and_then(|asked| Some((asked.next.pop()?, asked))) {
            asked.at = now;
            let ask = Effect::Ask(next, exchange, asked.first.clone());
            peers.end(std::mem::replace(&mut request.peer, next));
            peers.begin(next, now);
            return vec![ask];
        }
        let problem = no_host(&request.app);
        self.remove(exchange, peers);
        vec![Effect::Fail(exchange, problem)]
    }

    /// The requests of which this holds.
    fn of(&self, holds: impl Fn(&Request) -> bool) -> Vec<ExchangeId> {
        self.open.iter().filter(|(_, request)| holds(request)).map(|(exchange, _)| *exchange).collect()
    }

    fn remove(&mut self, exchange: ExchangeId, peers: &mut Peers) {
        if let Some(request) = self.open.remove(&exchange) {
            peers.end(request.peer);
        }
    }
}

/// Has an instance drop a request.
fn cancelled(own: Instance, peer: Instance, exchange: ExchangeId) -> Effect {
    Effect::Send(peer, FrameWriter::control(own, exchange, Kind::Cancelled, b""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::frame::tests::frame;
    use super::*;

    const EXCHANGE: ExchangeId = ExchangeId { port: 3, request: 7 };
    /// The first one that is asked, and the one after it.
    const SERVER: Instance = Instance(9);
    const OTHER: Instance = Instance(8);

    struct Caller {
        requests: Requests,
        peers: Peers,
        now: Instant,
    }

    impl Caller {
        fn asking(is_safe: bool) -> Self {
            let mut this = Self {
                requests: Requests::new(Instance(1), 100),
                peers: Peers::default(),
                now: Instant::now(),
            };
            let asked = this.begin(is_safe, vec![OTHER, SERVER]);
            assert!(matches!(asked, Effect::Ask(SERVER, EXCHANGE, _)));
            this
        }

        fn begin(&mut self, is_safe: bool, hosts: Vec<Instance>) -> Effect {
            let parts = Parts { text: b"first", ..Parts::default() };
            let app = ("shop".into(), hosts);
            self.requests.begin(EXCHANGE, app, is_safe, parts, &mut self.peers, self.now)
        }

        fn take(&mut self, frame: Frame) -> Vec<Effect> {
            self.requests.take(frame, &mut self.peers, self.now)
        }

        fn send(&mut self, text: &'static str) -> Vec<Effect> {
            let parts = Parts { text: text.as_bytes(), ..Parts::default() };
            self.requests.send(EXCHANGE, parts, &mut self.peers)
        }

        fn later(&mut self, after: Duration) -> Vec<Effect> {
            self.now += after;
            self.requests.look(&mut self.peers, self.now)
        }

        fn gone(&mut self, peer: Instance) -> Vec<Effect> {
            self.requests.peer_gone(peer, &mut self.peers, self.now)
        }

        #[track_caller]
        fn is_over(&self) {
            assert!(self.requests.open.is_empty() && self.peers.is_empty());
        }
    }

    #[track_caller]
    fn failed(effects: Vec<Effect>, kind: ProblemKind) {
        match &*effects {
            [.., Effect::Fail(EXCHANGE, problem)] => assert_eq!(problem.kind(), kind),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn sent(effects: &[Effect], to: Instance, kind: Kind) -> Frame {
        match effects {
            [Effect::Send(peer, frame)] if *peer == to => {
                let frame = Frame::decode(frame.clone()).unwrap();
                assert_eq!(frame.kind, kind);
                frame
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn asks_other(effects: &[Effect]) {
        assert!(matches!(effects, [Effect::Ask(OTHER, EXCHANGE, _)]), "{effects:?}");
    }

    #[test]
    fn a_quick_answer_ends_the_request() {
        let mut caller = Caller::asking(false);
        let delivered = caller.take(Frame { last: true, ..frame(Kind::ToCaller, 0, "answer") });
        assert!(matches!(&*delivered, [Effect::Deliver(EXCHANGE, message)] if message.text == "answer"));
        caller.is_over();
        failed(vec![caller.begin(true, Vec::new())], ProblemKind::Unavailable);
        caller.is_over();
    }

    #[test]
    fn what_follows_waits_until_an_instance_has_the_request() {
        let mut caller = Caller::asking(false);
        assert_eq!(caller.send("one"), []);
        let first = sent(&caller.take(frame(Kind::Taken, 0, "")), SERVER, Kind::ToServer);
        let second = sent(&caller.send("two"), SERVER, Kind::ToServer);
        assert_eq!([first.number, second.number], [1, 2]);
        // It has it: nothing is late.
        assert_eq!(caller.later(TAKEN_LIMIT), []);
        failed(caller.take(frame(Kind::Refused, 0, "{}")), ProblemKind::BadGateway);
        caller.is_over();
    }

    #[test]
    fn a_request_that_no_instance_has_taken_in_time_is_repeated_if_that_is_safe() {
        let mut caller = Caller::asking(false);
        assert_eq!(caller.later(TAKEN_LIMIT), []);
        failed(caller.gone(SERVER), ProblemKind::BadGateway);
        caller.is_over();

        let mut caller = Caller::asking(true);
        assert_eq!(caller.later(TAKEN_LIMIT / 2), []);
        asks_other(&caller.later(TAKEN_LIMIT));
        assert_eq!(caller.later(TAKEN_LIMIT), [], "there is no other one");
        // The first one was only late.
        sent(&caller.take(frame(Kind::Taken, 0, "")), SERVER, Kind::Cancelled);
        failed(caller.gone(OTHER), ProblemKind::Unavailable);
        caller.is_over();
    }

    #[test]
    fn a_request_that_is_not_taken_goes_to_the_next_instance_whatever_it_is() {
        let mut caller = Caller::asking(false);
        caller.send("one");
        asks_other(&caller.take(frame(Kind::NotTaken, 0, "")));
        let next = Frame { sender: OTHER, ..frame(Kind::NotTaken, 0, "") };
        failed(caller.take(next), ProblemKind::Unavailable);
        caller.is_over();

        let mut caller = Caller::asking(false);
        asks_other(&caller.requests.not_delivered(EXCHANGE, &mut caller.peers, caller.now));
        let taken = caller.take(Frame { sender: OTHER, ..frame(Kind::Taken, 0, "") });
        assert_eq!(taken, []);
        assert_eq!(caller.requests.not_delivered(EXCHANGE, &mut caller.peers, caller.now), []);
    }

    #[test]
    fn what_an_instance_had_fails_with_it() {
        for is_safe in [true, false] {
            let mut caller = Caller::asking(is_safe);
            caller.take(frame(Kind::Taken, 0, ""));
            failed(caller.gone(SERVER), ProblemKind::BadGateway);
            caller.is_over();
        }
        let mut caller = Caller::asking(true);
        asks_other(&caller.gone(SERVER));
    }

    #[test]
    fn a_cancellation_reaches_the_instance() {
        let mut caller = Caller::asking(true);
        sent(&caller.requests.cancel(EXCHANGE, &mut caller.peers), SERVER, Kind::Cancelled);
        caller.is_over();
        // One that did not know it yet.
        sent(&caller.take(frame(Kind::ToCaller, 0, "x")), SERVER, Kind::Cancelled);
        assert_eq!(caller.take(Frame { last: true, ..frame(Kind::ToCaller, 1, "x") }), []);

        let mut caller = Caller::asking(true);
        sent(&caller.requests.cancel_unless(|_| false, &mut caller.peers), SERVER, Kind::Cancelled);
        caller.is_over();
    }

    #[test]
    fn a_message_that_is_lost_fails_the_request() {
        let mut caller = Caller::asking(true);
        failed(caller.take(frame(Kind::ToCaller, 1, "x")), ProblemKind::BadGateway);
        caller.is_over();
    }
}
