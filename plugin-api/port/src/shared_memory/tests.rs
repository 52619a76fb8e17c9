//! A host and an app process in one process: what goes into the rings comes out at the other end.

use std::fmt::Display;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use atoll_protocol::abi::{Buffer, Message, Received};
use atoll_protocol::{Response, Stream, method};
use proptest::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use serde_json::{Value, json};
use tokio::task::LocalSet;

use super::*;
use crate::call_sink::{CallSink, OutgoingCall};
use crate::port::{Limits, Port};
use crate::reply_queue::Watch;
use crate::warnings::{WarningKind, Warnings};
use crate::worker_end::WorkerPort;
use crate::{CallError, ReplyEvent, WorkerGone, buffer, message, to_json};

const LIMIT: Duration = Duration::from_secs(60);

/// Nothing that the host gets is wrong, and no app is called.
#[derive(Debug, Default)]
struct Outside {
    calls: AtomicUsize,
}

impl Warnings for Outside {
    fn warn(self: Arc<Self>, kind: WarningKind, what: &dyn Display) {
        panic!("{kind:?}: {what}");
    }
}

impl CallSink for Outside {
    fn accept(&self, call: OutgoingCall) {
        self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        call.port.answer_call(call.id, &Response::result(call.id, "called"), Vec::new());
    }
}

struct Both {
    port: Arc<Port>,
    worker: Arc<ProcessPort>,
    faults: Receiver<FrameError>,
    link: ProcessLink,
    _watch: Watch,
}

/// Both ends of a port; on a `LocalSet`.
fn both(queue: usize) -> Both {
    both_with(queue, Arc::new(Outside::default()))
}

fn both_with(queue: usize, warnings: Arc<dyn Warnings>) -> Both {
    let (report, faults) = channel();
    let report = Mutex::new(report);
    let on_breach = Arc::new(move |error| drop(report.lock().unwrap().send(error)));
    let eventfd = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    let host_lanes =
        HostLanes::new(lane_descriptors().unwrap().iter().map(|lane| lane.try_clone_to_owned().unwrap()))
            .unwrap();
    let home = crate::take_lane().unwrap();
    let link = ProcessLink::new(1, home, on_breach).unwrap();
    let bell = eventfd();
    let limits = Limits { queue, calls: 8, message: 1 << 20 };
    let port = link
        .port(0, bell.try_clone().unwrap(), "app".into(), limits, warnings, Arc::new(Outside::default()))
        .unwrap();
    link.host.seal_writing().unwrap();
    let host_link = HostLink {
        host: std::os::fd::AsFd::as_fd(&link.host).try_clone_to_owned().unwrap(),
        worker: std::os::fd::AsFd::as_fd(&link.worker).try_clone_to_owned().unwrap(),
        workers: 1,
        lanes: Arc::new(host_lanes),
        home,
    };
    let worker = host_link.ports([bell], |heap_use| heap_use.write(5, 7)).unwrap().pop().unwrap();
    let watch = Watch::new(port.inlet().unwrap()).unwrap();
    Both { port, worker: Arc::new(worker), faults, link, _watch: watch }
}

fn on_local_set<T>(work: impl AsyncFnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, work()).await.unwrap() })
}

fn read(message: &Message) -> Value {
    serde_json::from_slice(&message.json).unwrap()
}

/// What a worker does until its port is closed: answers each request with its parameters and its buffer. How many requests
/// there were.
fn echo(worker: &ProcessPort) -> usize {
    let mut requests = 0;
    let mut received = Message::default();
    while worker.receive(Some(LIMIT), &mut received) == Received::Message {
        let mut call = read(&received);
        if let Some(id) = call["id"].as_u64() {
            requests += 1;
            let json = to_json(&Response::result(id, call["params"].take()));
            worker.send(message(json, received.transfer.take(0).into_iter().collect()));
        }
    }
    requests
}

async fn call(port: &Arc<Port>, params: Value, transfer: Option<Vec<u8>>) -> (Value, Option<Buffer>) {
    let answer = port.call("echo", params, transfer.map(buffer::from_vec)).unwrap();
    let (mut message, times) = answer.await.unwrap();
    assert!(times.queue < LIMIT && times.handler < LIMIT);
    (read(&message)["result"].take(), message.transfer.take(0))
}

#[test]
fn requests_are_answered() {
    on_local_set(async || {
        let both = both(1024);
        let worker = both.worker.clone();
        let echo = thread::spawn(move || echo(&worker));
        for size in [0, 1, 1000, RING - 1, RING, 3 * RING + 17] {
            let bytes: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let (params, body) = call(&both.port, json!([size]), Some(bytes.clone())).await;
            assert_eq!(params, json!([size]));
            assert_eq!(body.as_deref().unwrap_or_default(), bytes);
        }
        let many = (0..1000).map(|index| call(&both.port, json!(index), None));
        let answers = futures_util::future::join_all(many).await;
        assert!(answers.into_iter().enumerate().all(|(index, (value, _))| value == index));
        assert_eq!(both.port.waiting(), 0);
        both.port.close();
        assert_eq!(echo.join().unwrap(), 1006);
    });
}

#[test]
fn more_than_a_ring_holds_waits_for_room_in_both_directions() {
    on_local_set(async || {
        let both = both(1024);
        let body = vec![7; 20_000];
        // Nobody takes them yet: most of them wait in the host.
        let answers: Vec<_> = (0..200)
            .map(|index| both.port.call("echo", json!(index), Some(buffer::from_vec(body.clone()))).unwrap())
            .collect();
        assert_eq!(both.port.waiting(), 200);
        let worker = both.worker.clone();
        let echo = thread::spawn(move || echo(&worker));
        for answer in answers {
            let (mut message, _) = answer.await.unwrap();
            assert_eq!(message.transfer.take(0).unwrap().len(), 20_000);
        }
        both.port.close();
        assert_eq!(echo.join().unwrap(), 200);
    });
}

#[test]
fn only_so_many_requests_wait() {
    on_local_set(async || {
        let both = both(3);
        let waiting: Vec<_> = (0..3).map(|_| both.port.call("echo", (), None).unwrap()).collect();
        assert_eq!(both.port.call("echo", (), None).err(), Some(CallError::Full(3)));
        let mut received = Message::default();
        assert_eq!(both.worker.receive(Some(Duration::ZERO), &mut received), Received::Message);
        // The host sees that one was taken, though nothing has come back.
        let next = both.port.call("echo", (), None).unwrap();
        assert_eq!(both.port.waiting(), 3);
        drop((waiting, next));
    });
}

#[test]
fn what_is_withdrawn_or_too_late_is_not_handed_out() {
    on_local_set(async || {
        let both = both(16);
        let gone = both.port.call("echo", "gone", None).unwrap();
        let late = {
            let mut context = crate::CallContext::background("test");
            context.set_deadline(tokio::time::Instant::now());
            let place = both.port.reserve().unwrap().on_behalf(Some(&context));
            place
                .send(|id| to_json(&atoll_protocol::Request::new(id, "echo", "late")).into(), &mut None)
                .unwrap()
        };
        let kept = both.port.call("echo", "kept", None).unwrap();
        drop(gone);
        let mut received = Message::default();
        assert_eq!(both.worker.receive(Some(Duration::ZERO), &mut received), Received::Message);
        assert_eq!(read(&received)["params"], "kept");
        // The one that was withdrawn might just have been taken.
        assert_eq!(both.worker.receive(Some(Duration::ZERO), &mut received), Received::Message);
        assert_eq!(read(&received)["method"], method::CANCEL);
        assert_eq!(both.worker.receive(Some(Duration::ZERO), &mut received), Received::TimedOut);
        drop((late, kept));
    });
}

#[test]
fn requests_that_the_worker_had_not_taken_are_given_back() {
    on_local_set(async || {
        let both = both(1024);
        let answers: Vec<_> = (0..400)
            .map(|index| both.port.call("echo", index, Some(buffer::from_vec(vec![0; 2000]))).unwrap())
            .collect();
        let mut received = Message::default();
        for _ in 0..3 {
            assert_eq!(both.worker.receive(Some(Duration::ZERO), &mut received), Received::Message);
        }
        both.port.close();
        for (index, answer) in answers.into_iter().enumerate() {
            assert_eq!(answer.await.err(), Some(WorkerGone { handed_out: index < 3 }), "{index}");
        }
        assert_eq!(both.worker.receive(None, &mut received), Received::Closed);
        assert!(!both.worker.send(message(to_json(&Response::result(1, ())), Vec::new())));
    });
}

#[test]
fn a_worker_is_woken_by_its_own_threads_and_by_the_clock() {
    on_local_set(async || {
        let both = both(16);
        let mut received = Message::default();
        both.worker.wake();
        both.worker.wake();
        assert_eq!(both.worker.receive(None, &mut received), Received::Woken);
        assert_eq!(both.worker.receive(Some(Duration::from_millis(1)), &mut received), Received::TimedOut);
        let waiting = both.worker.clone();
        let woken = thread::spawn(move || waiting.receive(None, &mut Message::default()));
        both.worker.wake();
        assert_eq!(woken.join().unwrap(), Received::Woken);
        let heap_use = both.link.heap_use().unwrap();
        assert_eq!((heap_use.live(), heap_use.peak()), (5, 7), "it was at rest");
    });
}

#[test]
fn an_event_loop_is_woken_by_its_descriptor() {
    on_local_set(async || {
        let both = both(16);
        assert!(both.worker.sleep());
        let answer = both.port.call("echo", "x", None).unwrap();
        // This thread rings when it has sent all.
        tokio::task::yield_now().await;
        let mut count = [0; 8];
        // SAFETY: the port keeps the descriptor open.
        let bell = unsafe { std::os::fd::BorrowedFd::borrow_raw(both.worker.doorbell()) };
        while rustix::io::read(bell, &mut count).is_err() {
            tokio::task::yield_now().await;
        }
        assert!(!both.worker.sleep(), "something is there");
        let mut received = Message::default();
        assert_eq!(both.worker.receive(Some(Duration::ZERO), &mut received), Received::Message);
        assert!(both.worker.sleep());
        drop(answer);
    });
}

#[test]
fn what_is_too_much_for_a_message_is_no_breach() {
    on_local_set(async || {
        let both = both(16);
        let answer = both.port.call("echo", "x", None).unwrap();
        let (id, worker) = (answer.id(), both.worker.clone());
        let many = thread::spawn(move || {
            let buffers = (0..100).map(|_| buffer::from_vec(vec![7; 10])).collect();
            worker.send(message(to_json(&Response::result(id, "x")), buffers))
        });
        let (mut answered, _) = answer.await.unwrap();
        assert!(many.join().unwrap());
        assert_eq!(*answered.transfer.take(0).unwrap(), [7; 10]);

        let answer = both.port.call("echo", "x", None).unwrap();
        let (id, worker) = (answer.id(), both.worker.clone());
        // The pages of zeros are never touched.
        let large = thread::spawn(move || {
            let body = buffer::from_vec(vec![0; MAX_BYTES as usize]);
            worker.send(message(to_json(&Response::result(id, "x")), vec![body]))
        });
        let (answered, _) = answer.await.unwrap();
        assert!(large.join().unwrap());
        let error = read(&answered)["error"]["message"].take();
        assert!(error.as_str().unwrap().contains("send the body as a stream"), "{error}");
        assert!(both.faults.try_recv().is_err());
    });
}

#[test]
fn a_stream_and_calls_of_the_app_reach_those_that_wait() {
    on_local_set(async || {
        let both = both(16);
        let mut answer = both.port.call("echo", "x", None).unwrap();
        let (id, worker) = (answer.id(), both.worker.clone());
        let thread = thread::spawn(move || {
            let mut received = Message::default();
            assert_eq!(worker.receive(Some(LIMIT), &mut received), Received::Message);
            worker.send(message(to_json(&Response::result(id, json!({ "body": "stream" }))), Vec::new()));
            for piece in 0..10 {
                worker
                    .send(message(Stream { id }.chunk_message(), vec![buffer::from_vec(vec![piece; 1000])]));
            }
            worker.send(message(to_json(&atoll_protocol::Request::new(2, "call", ())), Vec::new()));
            assert_eq!(worker.receive(Some(LIMIT), &mut received), Received::Message);
            read(&received)
        });
        let mut event = async || std::future::poll_fn(|context| answer.poll_event(context)).await.unwrap();
        assert!(matches!(event().await, ReplyEvent::Answer(..)));
        for piece in 0..10 {
            let ReplyEvent::Chunk(chunk) = event().await else { panic!("no chunk") };
            assert_eq!(*chunk, [piece; 1000]);
        }
        while !thread.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(thread.join().unwrap()["result"], "called");
    });
}

/// Takes note of nothing.
#[derive(Debug)]
struct Silent;

impl Warnings for Silent {
    fn warn(self: Arc<Self>, _: WarningKind, _: &dyn Display) {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_app_process_writes_the_host_lives(
        writes in prop::collection::vec((0..layout::WORKER_PART, prop::collection::vec(any::<u8>(), 1..64)), 1..20),
        counts in prop::collection::vec(prop_oneof![any::<u64>(), 0..400_000_u64], 4),
    ) {
        on_local_set(async || {
            let both = both_with(16, Arc::new(Silent));
            let answer = both.port.call("echo", "x", None).unwrap();
            let memory = both.link.worker.map_to_write(0, layout::WORKER_PART).unwrap();
            for (offset, bytes) in &writes {
                let bytes = &bytes[..bytes.len().min(layout::WORKER_PART - offset)];
                memory.copy_from(*offset, bytes);
            }
            for (index, count) in counts.iter().enumerate() {
                let word = [layout::worker::WRITTEN, layout::worker::READ][index % 2];
                memory.word_u64(word).store(*count, std::sync::atomic::Ordering::SeqCst);
                let inlet = both.port.inlet().unwrap();
                inlet.fetch();
                both.port.notify("x", (), Vec::new());
                let _ = both.port.call("echo", "y", None);
                let _ = inlet.is_filled();
            }
            for fault in both.faults.try_iter() {
                assert!(!fault.to_string().is_empty());
            }
            both.port.close();
            drop(answer);
        });
    }
}
