//! What another host may send, for the fuzz target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use super::assembly::{Assembly, Message};
use super::context::Context;
use super::frame::{ExchangeId, Frame, Instance, Kind};
use super::peers::Peers;
use super::problem::{read_problem, write_problem};
use super::requests::{Asking, Effect, Requests};
use super::subjects::Subjects;
use super::writer::{FrameWriter, Parts};

const EXCHANGE: ExchangeId = ExchangeId { port: 3, request: 7 };
const PEERS: [Instance; 2] = [Instance(8), Instance(9)];

/// Checks what is made of messages of NATS, each after its length in two bytes.
pub(crate) fn check_frames(bytes: &[u8]) {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let (mut asker, mut server) = (Asker::new(), Assembly::default());
    while bytes.remaining() >= 2 {
        let length = usize::from(bytes.get_u16()).min(bytes.len());
        let content = bytes.split_to(length);
        if let Ok(subject) = str::from_utf8(&content) {
            let _ = Subjects::read_reply(subject);
        }
        let Ok(frame) = Frame::decode(content.clone()) else { continue };
        let mut again = frame.encode(&[]).to_vec();
        // Flags without a meaning are ignored.
        again[2] = content[2];
        assert_eq!(again, content);
        asker.take(frame.clone());
        if let Ok(Some(message)) = server.take(frame) {
            check_message(&message);
        }
    }
    asker.end();
}

/// Checks that what is read of a message can be written, and is read in the same way then.
fn check_message(message: &Message) {
    let Message { context, text, buffer, last } = message;
    let parts = Parts { context, text, buffer };
    let mut writer = FrameWriter::new(PEERS[0], EXCHANGE, 64);
    let frames = writer.write(Kind::Request, parts, *last).expect("it came in messages of NATS");
    let mut assembly = Assembly::default();
    let read = frames.into_iter().filter_map(|frame| {
        let frame = Frame::decode(frame).expect("what is written is a frame");
        assembly.take(frame).expect("it is complete and in order")
    });
    assert_eq!(read.collect::<Vec<_>>(), std::slice::from_ref(message));

    if let Ok(read) = serde_json::from_slice::<Context<'_>>(context) {
        let there = read.to_call_context();
        let written = atoll_port::to_json(&Context::new(&read.app, &there));
        let same: Context<'_> = serde_json::from_slice(&written).expect("what is written can be read");
        assert_eq!(same.to_call_context().request_id(), there.request_id());
        assert_eq!(same.to_call_context().callers(), there.callers());
        assert_eq!(same.is_from_outside(), read.is_from_outside());
    }
    let problem = read_problem(text);
    assert!((400..600).contains(&problem.kind().status()), "{problem:?}");
    assert_eq!(read_problem(&write_problem(&problem)), problem);
}

/// A host that has sent a request to another one.
struct Asker {
    requests: Requests,
    peers: Peers,
    now: Instant,
}

impl Asker {
    fn new() -> Self {
        let mut this =
            Self { requests: Requests::new(Instance(1), 64), peers: Peers::default(), now: Instant::now() };
        let (hosts, counts) = (PEERS.to_vec(), Arc::default());
        let asking = Asking { app: "app".into(), hosts, is_safe: true, counts };
        let parts = Parts { text: b"first", ..Parts::default() };
        let asked = this.requests.begin(EXCHANGE, asking, parts, &mut this.peers, this.now);
        assert!(matches!(asked, Effect::Ask(..)));
        this
    }

    /// Takes a frame, as it is and as one of the host that has the request.
    fn take(&mut self, frame: Frame) {
        self.now += Duration::from_millis(1);
        let sender = self.requests.peer_of(EXCHANGE).unwrap_or(PEERS[0]);
        for frame in [frame.clone(), Frame { sender, exchange: EXCHANGE, ..frame }] {
            self.peers.hear(frame.sender, self.now);
            let effects = self.requests.take(frame, &mut self.peers, self.now);
            for effect in &effects {
                let is_pending = self.requests.peer_of(EXCHANGE).is_some();
                match effect {
                    Effect::Deliver(_, message) => assert_eq!(message.last, !is_pending),
                    Effect::Fail(..) => assert!(!is_pending, "it has failed"),
                    Effect::Ask(..) | Effect::Send(..) => {}
                }
            }
        }
        assert_eq!(self.peers.is_empty(), self.requests.peer_of(EXCHANGE).is_none());
    }

    fn end(mut self) {
        let mut asked = 0;
        while let Some(peer) = self.requests.peer_of(EXCHANGE) {
            asked += 1;
            self.requests.peer_gone(peer, &mut self.peers, self.now);
        }
        assert!(asked <= PEERS.len() && self.peers.is_empty());
    }
}
