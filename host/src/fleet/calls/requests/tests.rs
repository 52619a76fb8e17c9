//! Requests, without a connection.

use std::time::Duration;

use super::*;
use crate::fleet::calls::frame::tests::frame;

const EXCHANGE: ExchangeId = ExchangeId { port: 3, request: 7 };
/// The first one that is asked, and the one after it.
const SERVER: Instance = Instance(9);
const OTHER: Instance = Instance(8);

struct Caller {
    requests: Requests,
    peers: Peers,
    counts: Arc<FleetCounts>,
    now: Instant,
}

impl Caller {
    fn asking(is_safe: bool) -> Self {
        let mut this = Self {
            requests: Requests::new(Instance(1), 100),
            peers: Peers::default(),
            counts: Arc::default(),
            now: Instant::now(),
        };
        let asked = this.begin(is_safe, vec![OTHER, SERVER]);
        assert!(matches!(asked, Effect::Ask(SERVER, EXCHANGE, _)));
        this
    }

    fn begin(&mut self, is_safe: bool, hosts: Vec<Instance>) -> Effect {
        let parts = Parts { text: b"first", ..Parts::default() };
        let asking = Asking { app: "shop".into(), hosts, is_safe, counts: self.counts.clone() };
        self.requests.begin(EXCHANGE, asking, parts, &mut self.peers, self.now)
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
        assert_eq!(self.counts.pending(), [("asked", 0), ("taken", 0)]);
    }

    /// Checks how often requests have failed, by the reasons of which there are some.
    #[track_caller]
    fn has_failed(&self, expected: &[(&str, u64)]) {
        let failed: Vec<_> = self.counts.failed().filter(|(_, count)| *count > 0).collect();
        assert_eq!(failed, expected);
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
    caller.has_failed(&[]);
    failed(vec![caller.begin(true, Vec::new())], ProblemKind::Unavailable);
    caller.is_over();
    caller.has_failed(&[("no_host", 1)]);
    assert_eq!((caller.counts.sent.get(), caller.counts.duration.snapshot().count()), (2, 1));
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
    assert_eq!(caller.counts.pending(), [("asked", 0), ("taken", 1)]);
    // What a stream of the request may send is no answer.
    caller.take(frame(
        Kind::ToCaller,
        0,
        r#"{"jsonrpc":"2.0","method":"body.credit","params":{"id":7,"bytes":1}}"#,
    ));
    assert_eq!(caller.counts.duration.snapshot().count(), 0);
    failed(caller.take(frame(Kind::Refused, 0, "{}")), ProblemKind::BadGateway);
    caller.is_over();
    caller.has_failed(&[("refused", 1)]);
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
    caller.has_failed(&[("no_host", 1)]);
    assert_eq!(caller.counts.retried.get(), 1);

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
        caller.has_failed(&[("host_gone", 1)]);
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
    caller.has_failed(&[("broken", 1)]);

    let mut caller = Caller::asking(true);
    caller.requests.close();
    caller.has_failed(&[("disconnected", 1)]);
}
